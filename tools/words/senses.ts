/** The house's words, by sense: what to say, which private words were used for it, and where such a word is meant plainly. `places.ts` has
 * what is meant plainly in code alone. */

export interface Sense {
  /** The word of the field. */
  readonly say: string
  /** The words not to use for it. Must be global and ignore case. */
  readonly not: RegExp
  /** Places where the word has its ordinary meaning: the match is ignored when one of these covers it. Must be global. */
  readonly plain?: readonly RegExp[]
}

export const SENSES: readonly Sense[] = [
  { say: 'fix, remedy', not: /\bmend(?:s|ed|ing)?\b/gi },
  { say: 'component', not: /\brooms?\b/gi },
  {
    say: 'report, notify, show',
    not: /\b(?:tells?|told|telling|teller|news)\b/gi,
    plain: [/tells? you|(?:tell|told|telling) (?:\w+ ){0,2}apart/gi],
  },
  { say: 'evaluate, diagnose', not: /\b(?:judge[sd]?|judging|verdicts?)\b/gi },
  { say: 'retract', not: /\brefute[sd]?\b/gi, plain: [/"refuted"|, refuted`/gi] },
  { say: 'device, owner', not: /\bPerson\b/g },
  { say: 'endpoint', not: /\b(?:both|either|neither|far) ends?\b|\b(?:other|as an) end\b/gi },
  { say: 'last-seen index', not: /\b(?:sightings|seen-groups)\b/gi },
  { say: 'evaluation interval, range', not: /\b(?:pieces?|slots?)\b/gi },
  { say: 'overflow', not: /\bspills?\b/gi },
  { say: 'pending', not: /\bstaged\b/gi },
  { say: 'flapping', not: /\bflutter\w*/gi },
  { say: 'recovery, reconciliation', not: /\b(?:heals?|healed|agreement)\b/gi },
  { say: 'circuit breaker', not: /\bgates?\b/gi },
  { say: 'backoff', not: /\bgrowing pauses\b/gi },
  { say: 'now, safe read horizon', not: /\b(?:the|API's) present\b(?! (?:time|value))/gi },
  { say: 'worker', not: /\b(?:lanes?|read-all)\b/gi },
  { say: 'quarantine', not: /\b(?:sets?|setting|lies|laid) aside\b|\bsuspects?\b/gi },
  { say: 'backfill request', not: /\b(?:wish(?:es)?|wanted)\b/gi },
  { say: 'checkpoint', not: /\bmirrors?\b/gi },
  {
    say: 'parse',
    not: /\bcut(?:s|ting|ter)?\b/gi,
    plain: [/power cut|cut off|"Cut"|framer|array cutter|array-cutter/gi],
  },
  // The key of a network in the settings.
  { say: 'aggregate', not: /\bfold(?:s|ed|ing)?\b/gi, plain: [/fold: true|`fold`/gi] },
  { say: 'transport, post with retry', not: /\b(?:insists?|uncopied)\b/gi },
  {
    say: 'actions, commands',
    not: /\borders?\b/gi,
    plain: [
      /\b(?:in|the|whatever|that|this|text|time|any|their|wrong|row|out of|execution|an) order\b|ORDER BY|order of/gi,
    ],
  },
  { say: 'supervisor', not: /\bkeepers?\b/gi },
  {
    say: 'request, query, probe',
    not: /\b(?:asks?|asked|asking)\b/gi,
    plain: [
      /browsers then ask for a password|Grafana asks|(?:proxy|CI|that) asks? for|asks (?:its|their) owner|ask its owner|was not asked for/gi,
    ],
  },
  { say: 'unknown; DERP', not: /\bnot told\b/gi },
  // The manner of a native reader.
  { say: 'no answer; it; other machines', not: /\b(?:nobody|somebody|anybody|everybody)\b/gi },
  { say: 'OK, success', not: /\b(?:all is|is|are|went|goes|nothing is|not) well\b(?! formed)/gi },
  { say: 'sampled', not: /\bby lot\b/gi },
  { say: 'because of missing', not: /\bfor want of\b/gi },
  { say: 'that many, how many', not: /\bso many\b/gi, plain: [/so many (?:event streams|flows) (?:are|that)/gi] },
  { say: 'expensive', not: /\bdearer?\b/gi },
  { say: 'apply', not: /\b(?:takes?|taken|took) over\b/gi },
  { say: 'continue, resume', not: /\b(?:go|goes|going|went) on\b/gi },
  { say: 'forever, permanent', not: /\bfor ever\b/gi },
  { say: 'again, new', not: /\banew\b/gi },
  { say: 'space', not: /\bblanks?\b/gi },
  { say: 'Maximum, Peak', not: /(?:^|\| )Most (?!of|recent|people|requests)\w+/g },
  { say: 'Timeout', not: /\blongest wait\b/gi },
  { say: 'in progress, in flight', not: /\bunder way\b/gi },
  { say: 'kB, MB, GB', not: /(?:\d|… ?) ?[KMG]iB\b/g, plain: [/\d[KMG]iB/g] },
]

/** Plain for every sense: inline code of documents, and SQL, whose names are those of files on disk. */
const PLAIN = [/`[^`\n]*`/g, /\b(?:CREATE TABLE|SELECT|DROP TABLE|DELETE FROM)\b.*/gs]

export interface Found {
  readonly say: string
  readonly word: string
  readonly isPlain: boolean
  /** Where it begins in the text. */
  readonly at: number
}

/** All words of the table in a text. */
export function wordsIn(text: string): readonly Found[] {
  return SENSES.flatMap(({ say, not, plain = [] }) => {
    const allowed = [...PLAIN, ...plain].flatMap((one) =>
      [...text.matchAll(one)].map(({ index, 0: whole }) => [index, index + whole.length]),
    )
    return [...text.matchAll(not)].map(({ index, 0: word }) => ({
      say,
      word,
      at: index,
      isPlain: allowed.some(([from = 0, to = 0]) => from <= index && index + word.length <= to),
    }))
  })
}
