/** A limit of series or tag values that the database has reached: why, and which node has the most new series of all that was refused since.
 * A series that is refused again counts once, so that a node with a few series that are retried again and again is not named. */
import type { Logger } from 'pino'
import type { CollectorError } from '../../base/errors.ts'
import { createHashSet } from '../../base/hash-set.ts'
import { LimitError, mostOf, whoseText } from '../../sink/limit-error.ts'

export interface LimitProblem {
  /** The refusals of one window. */
  met(errors: readonly CollectorError[]): void
  /** No window waits for the limit any more. */
  ended(): void
  /** Undefined when nothing was refused since the start. */
  text(): string | undefined
}

/** Then counting ends: by then the node is known. At most 4 MiB while the limit lasts. */
const SERIES_MAX = 200_000
const NODES_MAX = 1_000

export function createLimitProblem(log: Logger): LimitProblem {
  let error: CollectorError | undefined
  let seen = createHashSet(SERIES_MAX)
  const counts = new Map<string, number>()
  let named: string | undefined

  function count({ newSeries }: LimitError): void {
    for (const [node, series] of newSeries) {
      if (!counts.has(node) && counts.size >= NODES_MAX) continue
      for (const one of series)
        if (seen.size < SERIES_MAX && seen.add(one)) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
  }

  return {
    met(errors) {
      const isNew = error === undefined
      for (const one of errors) if (one instanceof LimitError) count(one)
      error = errors.at(-1) ?? error
      const [node, series] = mostOf(counts)
      if (!isNew && node === named) return
      named = node
      log.warn({ code: 'db_limit', node, series, err: error }, 'database limit reached, refused points will be retried')
    },
    ended() {
      if (error === undefined) return
      error = undefined
      seen = createHashSet(SERIES_MAX)
      counts.clear()
      named = undefined
      log.info('database limit no longer blocks any window')
    },
    text: () => (error instanceof LimitError ? error.textWith(whoseText(counts)) : error?.message),
  }
}
