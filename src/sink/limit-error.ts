/** The error `db_limit`: lines that would exceed a limit of series or tag values, and their nodes. */
import { CollectorError } from '../base/errors.ts'

/** Hashes of series that were refused, by the node of their lines (tag `node`, still escaped; `none`: of no node). */
export type NewSeries = ReadonlyMap<string, ReadonlySet<bigint>>

/** Everything that the limit allows was stored; a person must raise the limit. */
export class LimitError extends CollectorError {
  readonly newSeries: NewSeries
  /** The message, with another sentence about the node with most of the new series. */
  readonly textWith: (whose: string) => string

  constructor(textWith: (whose: string) => string, newSeries: NewSeries) {
    const counts = new Map([...newSeries].map(([node, series]) => [node, series.size]))
    super(textWith(whoseText(counts)), { stage: 'sink', code: 'db_limit', reaction: 'hold' })
    this.newSeries = newSeries
    this.textWith = textWith
  }
}

/** A sentence that names the node with the most new series; empty when there are none. */
export function whoseText(counts: ReadonlyMap<string, number>): string {
  const [node, count] = mostOf(counts)
  const all = [...counts.values()].reduce((sum, one) => sum + one, 0)
  return node === undefined
    ? ''
    : `Most of the refused points come from node ${node} (${count} of ${all} new series so far).`
}

/** The node with the most new series; among equals the first one, so that the name stays the same. */
export function mostOf(counts: ReadonlyMap<string, number>): readonly [node: string | undefined, count: number] {
  return [...counts].reduce<readonly [string | undefined, number]>(
    (most, one) => (one[1] > most[1] ? one : most),
    [undefined, 0],
  )
}
