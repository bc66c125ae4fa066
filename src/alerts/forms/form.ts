/** A form of rule: what it compares with what. Each form is one file beside this one, and a line in index.ts. */
import type { z } from 'zod'
import type { Kind } from '../../source/parse/message.ts'
import type { Measure } from '../amount.ts'
import type { Verdict } from '../machine.ts'
import type { Dim, Scope, Source } from '../rules/scope.ts'

/** What is added up: a rule's measure, or `derp_bytes` (relayed, both directions), or `seen`: minutes in which the group had a row. */
export type Sum = Measure | 'derp_bytes' | 'seen'

/** What a form needs of the rows. */
interface Needs {
  /** Sums over the window: the first number, and perhaps the second. */
  readonly sums?: readonly [Sum, Sum?]
  /** The second number is the first one's over the window that ended so long before. */
  readonly offsetNs?: bigint
  /** The sum counts from the begin of the UTC day or month instead of over the window. */
  readonly since?: 'day' | 'month'
  /** The first number is how many different ones the group had in the window. Counted up to this many. */
  readonly distinct?: { readonly of: 'peer' | 'port'; readonly max: number }
  /** Only groups that were seen within this time before the step; those without traffic count too. */
  readonly withinMs?: number
  /** It is about groups that were not seen for this long before. */
  readonly memoryMs?: number
}

/** The sentences of an alert: while it fires, and when it is over. */
interface Summaries {
  readonly firing: string
  readonly resolved: string
}

/** What a rule's form decides, with its thresholds in it. */
export interface Form {
  readonly needs: Needs
  /** What is compared. NaN: there is nothing to compare (too little traffic, none before). */
  number(first: number, second: number): number
  /** `complete`: all of the time that the number is about was read. What a gap in it can only make larger is decided all the same. */
  verdict(value: number, complete: boolean, isFiring: boolean): Verdict
  /** Which of the groups' numbers tells most. */
  readonly worst: 'largest' | 'least'
  /** What the number is compared with. */
  readonly threshold: number
  valueText(value: number): string
  readonly thresholdText: string
  readonly windowText: string
  readonly summaries: Summaries
  /** Why Grafana cannot have the rule; undefined when it can. */
  readonly unexportable?: string | undefined
  /** The rule as queries and expressions. Not to be asked of a rule that Grafana cannot have. */
  chain(words: QueryWords): Chain
}

/** One query, and the range that `$timeFilter` stands for: seconds before the present. */
export interface Query {
  readonly text: string
  readonly fromSeconds: number
  readonly toSeconds: number
}

/** Numbers from queries (`A`, `B`), their last values (`C`, `D`), and what is compared. */
export interface Chain {
  readonly queries: readonly Query[]
  /** Over the last values `$C` and `$D`; undefined: the last value of the one query is compared. */
  readonly math: string | undefined
  readonly compare: 'gt' | 'lt'
  readonly threshold: number
  /** A firing alert stays until the number is beyond this one; undefined: until it no longer breaches. */
  readonly recover: number | undefined
  /** Behind the number, for people: ` %`, ` peers`; undefined: bytes or packets, as the rule measures. */
  readonly unit?: string
}

/** What a query of the rule is made of. */
export interface QueryWords {
  /** Tags that tell groups apart. */
  readonly tags: readonly string[]
  /** The rule's measure: `sum("tx_bytes")`. */
  readonly sum: string
  /** `select` over the traffic of the rule, where `when` holds, by these tags. */
  select(select: string, when: string, groups: readonly string[]): string
  /** Holds for the range of Grafana. */
  readonly inRange: string
  /** Holds for the window that ended this long before the present one. */
  ago(seconds: number): string
  /** By these tags, in the words of the query language. */
  groupBy(tags: readonly string[]): string
  /** `seconds`: length of the range; that of the window without. */
  query(text: string, seconds?: number): Query
}

export type Fault = (key: string, text: string) => void

/** How long a rule looks back. */
export interface Times {
  readonly windowNs: bigint
  /** All of the time that it looks back. */
  readonly spanNs: bigint
  /** What the interval of evaluation must divide. */
  readonly lengths: readonly bigint[]
}

/** Keys that all rules may have, as far as forms look at them. */
interface CommonKeys {
  readonly by?: readonly string[] | undefined
  readonly kind?: readonly Kind[] | undefined
  readonly measure?: Measure | undefined
  readonly window?: number | undefined
  readonly for: number
}

/** A form before it has its thresholds. */
export interface FormType<K extends z.ZodRawShape = z.ZodRawShape> {
  /** Its key in the settings. */
  readonly name: string
  /** Its keys in the settings, its name among them. */
  readonly keys: K
  /** What follows where the rule does not say it. */
  readonly defaults?: {
    readonly by?: 'pair'
    readonly kind?: Kind
    readonly proto?: string
    readonly windowMs?: number
  }
  /** It is about edges, whatever it groups by. */
  readonly source?: Source
  /** Which measures make sense: all, only packets, or one that cannot be set. */
  readonly measures: 'all' | 'packets' | Measure
  /** It counts packets by itself where no measure is set. */
  isCount?(given: Given<K>): boolean
  /** What is wrong with the rule's other keys for this form. */
  check?(given: Given<K>, dims: ReadonlySet<Dim>, kinds: readonly Kind[], fault: Fault): void
  /** Without it: the window alone. */
  times?(given: Given<K>, fault: Fault): Times
  make(given: Given<K>, scope: Scope, fault: Fault): Form
}

export type Given<K extends z.ZodRawShape> = CommonKeys & z.output<z.ZodObject<K>>

/** Only gives types. */
export function defineForm<K extends z.ZodRawShape>(type: FormType<K>): FormType {
  return type as unknown as FormType
}
