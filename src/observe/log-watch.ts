/** Watches the log output: lost lines are counted, and a log that cannot be written is a warning in `/health`, because the log itself cannot
 * report it. */
import type { Logger } from 'pino'
import type { Health } from './health.ts'
import type { LogOutput, LogProblem } from './log-output.ts'

/** Counts lost lines in `metrics` and keeps the health of the component `log`, until the function that it returns is called. */
export function watchLogOutput(
  output: LogOutput,
  deps: {
    readonly health: Pick<Health, 'set'>
    readonly log: Pick<Logger, 'warn'>
    readonly metrics: { lost(total: number): void }
  },
): () => void {
  function failing(problem: LogProblem): void {
    deps.metrics.lost(output.lostTotal())
    deps.health.set('log', 'warning', 'log_lost', textOf(problem))
  }
  const now = output.problem()
  if (now === undefined) deps.metrics.lost(output.lostTotal())
  else failing(now)
  return output.listen({
    failing,
    recovered({ code, lostCount }) {
      deps.health.set('log', 'ok')
      if (lostCount > 0) deps.log.warn({ lostCount, code }, 'log lines were lost, standard output could not be written')
    },
  })
}

const REMEDIES: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  EAGAIN: [
    'Standard output is not read',
    'Check the program that reads the log: the container runtime, journald, or whatever is behind the pipe',
  ],
  EPIPE: ['The program that read standard output has ended', 'Restart tailflux together with it to get the log again'],
  ENOSPC: ['Standard output cannot be written, its disk is full (ENOSPC)', 'Free space on that disk'],
}

function textOf({ code, lostCount }: LogProblem): string {
  const [what, remedy] = REMEDIES[code] ?? [
    `Standard output cannot be written (${code})`,
    'Check the file, terminal or program that receives the log',
  ]
  const lost = lostCount === 0 ? 'no log line is lost yet' : `${lostCount} log lines are lost so far`
  return `${what}; ${lost}, and everything else continues. ${remedy}.`
}
