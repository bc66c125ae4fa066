/** Many runs in a few numbers. */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Half the distance between the first and third quartile, as a share of the median. */
  readonly spread: number
  readonly runs: readonly number[]
}

export function summarize(runs: readonly number[]): Summary {
  if (runs.length === 0) throw new RangeError('no runs')
  const sorted = runs.toSorted((a, b) => a - b)
  const median = quantile(sorted, 0.5)
  const spread = median === 0 ? 0 : (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / median
  return { median, min: sorted[0]!, max: sorted.at(-1)!, spread, runs }
}

/** `sorted`: ascending, not empty. Linear between neighbours. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)]!
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at))
}
