/** The three largest edges behind the value of an alert that begins to fire, asked of the database: rules hold sums, not who made them. One query for all
 * alerts with the same window, five seconds at most; without an answer the notification goes without. */

import type { Logger } from 'pino'
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'
import { getOrInsert } from '../../base/maps.ts'
import { compare } from '../../base/order.ts'
import type { EdgeRow } from '../../rollup/rows/row.ts'
import type { RowMeasurement, RowStore } from '../../rollup/rows/row-store.ts'
import { edgeOf } from '../../rollup/rows/stored-row.ts'
import type { Alert } from '../alert.ts'
import { formatAmount, isBytes, type Measure } from '../amount.ts'
import { keyOfValues } from '../evaluate/groups.ts'
import { createSides, measured } from '../evaluate/sides.ts'
import { sumOfView } from '../evaluate/view.ts'
import { periodStart, type Rule } from '../rules/rule.ts'

/** An alert that began to fire at the end of its window, ns. */
export interface Firing {
  readonly fingerprint: string
  readonly firedNs: bigint
  /** Undefined when its rule is gone. */
  readonly about?: About
}

/** `values`: of the group, in the order of the rule's `by`. */
type About = Pick<Alert, 'rule' | 'values'>

export interface LargestEdges {
  /** Asks for what is not known yet. Never rejects. */
  find(firings: readonly Firing[], signal: AbortSignal): Promise<void>
  /** `laptop-anna to db-1 tcp 5432 4.2 GB, ...`; empty where there are none; undefined when nothing was asked. */
  textOf(fingerprint: string, firedNs: bigint): string | undefined
  forget(fingerprint: string): void
}

interface Range {
  readonly measurement: RowMeasurement
  readonly fromNs: bigint
  readonly toNs: bigint
}

const EDGES_MAX = 3
const PATIENCE_MS = 5_000

export function createLargestEdges(deps: {
  readonly store: Pick<RowStore, 'summed'>
  /** The directory has a node of this id. */
  readonly isNode: (id: string) => boolean
  /** Names of `networks`. */
  readonly networks: ReadonlySet<string>
  readonly log: Logger
  /** 5 s unless a test needs another. */
  readonly patienceMs?: number
}): LargestEdges {
  const { store, isNode, networks, log, patienceMs = PATIENCE_MS } = deps
  /** By fingerprint: of an alert that began to fire then. */
  const known = new Map<string, { readonly firedNs: bigint; readonly text: string }>()
  /** Asked now, by window: notifiers ask for the same at the same time. */
  const asked = new Map<string, Promise<readonly EdgeRow[]>>()

  async function read({ measurement, fromNs, toNs }: Range): Promise<readonly EdgeRow[]> {
    const table = await store.summed(measurement, fromNs, toNs, AbortSignal.timeout(patienceMs))
    return [...table].map(([key, fields]) => edgeOf(key, fields, isNode))
  }

  function textOf(fingerprint: string, firedNs: bigint): string | undefined {
    const one = known.get(fingerprint)
    return one?.firedNs === firedNs ? one.text : undefined
  }

  return {
    textOf,
    forget: (fingerprint) => void known.delete(fingerprint),
    async find(firings, signal) {
      const over = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
      const fresh = firings.flatMap(({ fingerprint, firedNs, about }) => {
        if (about === undefined || !hasEdges(about.rule) || textOf(fingerprint, firedNs) !== undefined) return []
        const range = rangeOf(about.rule, firedNs)
        return [{ fingerprint, firedNs, ...about, range, key: `${range.measurement} ${range.fromNs} ${range.toNs}` }]
      })
      for (const [key, some] of Map.groupBy(fresh, (one) => one.key)) {
        let edges: readonly EdgeRow[] = []
        try {
          over.throwIfAborted()
          const reading = () => read(some[0]!.range).finally(() => asked.delete(key))
          edges = await unless(over, getOrInsert(asked, key, reading))
        } catch (error) {
          if (!signal.aborted)
            log.warn({ err: error, rule: some[0]!.rule.name }, 'alert is sent without its largest edges')
        }
        for (const one of some)
          known.set(one.fingerprint, { firedNs: one.firedNs, text: largestOf(one, edges, networks) })
      }
    },
  }
}

/** Rows of edges do not say which router an edge went through, and where there is too little there are no edges to show. */
function hasEdges({ isRouter, form }: Rule): boolean {
  return !isRouter && form.needs.withinMs === undefined
}

/** Of long windows the hours or days that have a part in them. */
function rangeOf({ windowNs, form }: Rule, firedNs: bigint): Range {
  const { since } = form.needs
  const fromNs = since === undefined ? firedNs - windowNs : periodStart(firedNs, since)
  const [measurement, stepNs] =
    firedNs - fromNs > 2n * DAY
      ? (['tailnet_edge_1d', DAY] as const)
      : firedNs - fromNs > 6n * HOUR
        ? (['tailnet_edge_1h', HOUR] as const)
        : (['tailnet_edge', MINUTE] as const)
  return { measurement, fromNs: fromNs - (fromNs % stepNs), toNs: firedNs }
}

function largestOf({ rule, values }: About, edges: readonly EdgeRow[], networks: ReadonlySet<string>): string {
  const key = keyOfValues(values)
  const isUnordered = rule.form.needs.memoryMs !== undefined
  const sides = createSides(rule, { networks, isUnordered })
  const sum = sumOfView({ ...rule, source: 'edges' }, rule.measure) as Measure
  const isRelayed = rule.form.needs.sums?.[0] === 'derp_bytes'
  const shares = edges.flatMap((edge) => {
    if (isRelayed && !edge.path.startsWith('derp-')) return []
    const own = sides
      .ofEdge(edge)
      .filter((side) => side.isWanted && keyOfValues(side.values.map(([value]) => value)) === key)
    const value = own.reduce((all, { isBack }) => all + measured(sum, isBack, edge), 0)
    return value > 0 ? [{ value, name: nameOf(edge) }] : []
  })
  return shares
    .toSorted((one, other) => other.value - one.value || compare(one.name, other.name))
    .slice(0, EDGES_MAX)
    .map(({ value, name }) => `${name} ${formatAmount(value, isBytes(rule.measure) ? 'bytes' : 'pkts')}`)
    .join(', ')
}

function nameOf({ kind, src, dst, proto, port, path }: EdgeRow): string {
  const how = kind === 'physical' ? `by ${path}` : port === 'none' ? proto : `${proto} ${port}`
  return `${src.name} to ${dst.name} ${how}`
}

/** Rejects with the signal's reason when that comes first. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
