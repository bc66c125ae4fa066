/** Jumps of the wall clock under a real process, forward and back, with and without the API's clock (a machine that was suspended).
 *
 *   npm run clock-jumps [-- --days 1,30,365,4000 --schedule '0 * * * *' --seconds 70]
 *
 * Prints what each jump cost, and ends with exit code 1 when a promise is broken. Needs libfaketime (`npm run servers`). */

import { DEFAULT_SCHEDULE } from '../../src/schedule/poll-times.ts'
import { readOptions } from '../options.ts'
import { type ClockJump, faultsOf, startJumpWorld } from './clock-jumps-run.ts'

const values = readOptions('npm run clock-jumps', {
  days: { type: 'string', default: '1,30,365,4000' },
  schedule: { type: 'string', default: DEFAULT_SCHEDULE },
  /** `local` or `suspended`; without it both. */
  only: { type: 'string' },
  /** How long each jump is watched. */
  seconds: { type: 'string', default: '70' },
})
/** So that the times of the schedule by the old and by the new clock are not the same. */
const ASIDE_SECONDS = 7
const days = values.days.split(',').map(Number)
let broken = 0

async function run(name: string, jumps: readonly ClockJump[]): Promise<void> {
  const stops: (() => Promise<void>)[] = []
  try {
    const world = await startJumpWorld({ after: (stop) => void stops.push(stop) }, { schedule: values.schedule })
    for (const jump of jumps) {
      const report = await world.jump(jump, 1000 * Number(values.seconds))
      const text = `${(jump.seconds / 86_400).toFixed(0)}`.padStart(6)
      console.log(
        `${name} ${text} days: /livez silent ${Math.round(report.silenceMs)} ms; memory ${report.rssBeforeMiB} -> ${report.rssMostMiB} MiB; ` +
          `log ${report.logLines} lines, ${report.logBytes} bytes, ${report.foreignLines} not JSON; first poll after ${report.firstPollMs} ms ` +
          `(due after ${report.expectedFirstMs}), later ones ${report.laterPollsMs.join(', ')} ms after their time`,
      )
      const faults = faultsOf(report)
      broken += faults.length
      for (const fault of faults) console.log(`  BROKEN  ${fault}`)
    }
    const { lagSeconds, gaps } = (await world.status()) as { lagSeconds: number; gaps: { reason: string }[] }
    console.log(`  afterwards: ${lagSeconds.toFixed(0)} s behind, ${gaps.length} gaps`)
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

const secondsOf = (count: number) => count * 86_400 + ASIDE_SECONDS
if (values.only !== 'suspended') {
  await run(
    'local clock',
    days.flatMap((count) => [1, -1, -1, 1].map((way) => ({ seconds: way * secondsOf(count), isSuspended: false }))),
  )
}
for (const count of values.only === 'local' ? [] : days)
  await run('suspended for', [{ seconds: secondsOf(count), isSuspended: true }])
console.log(broken === 0 ? 'every promise holds' : `${broken} promises are broken`)
process.exitCode = broken === 0 ? 0 : 1
