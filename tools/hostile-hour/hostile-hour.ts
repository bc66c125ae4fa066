/** An hour of demo time with one hostile node beside honest ones, each attack alone and all of them together.
 *
 *   npm run hostile-hour [-- --only scan --minutes 60 --nodes 49 --speed 20]
 *
 * Prints what there is to see every five minutes, and ends with exit code 1 when a promise is broken. */
import { readOptions } from '../options.ts'
import { ATTACKS, type Attack } from './hostile-node.ts'
import { faultsOf, type HostileReport, runHostileHour } from './hostile-run.ts'

const values = readOptions('npm run hostile-hour', {
  /** One attack, or `all`; without it each alone, then all. */
  only: { type: 'string' },
  minutes: { type: 'string', default: '60' },
  nodes: { type: 'string', default: '49' },
  speed: { type: 'string', default: '20' },
  addresses: { type: 'string', default: '131000' },
  limit: { type: 'string', default: '100000' },
  entries: { type: 'string', default: '40000' },
  /** Prints the end of the service's log too. */
  output: { type: 'boolean', default: false },
})
const minutes = Number(values.minutes)
const runs: (readonly Attack[])[] =
  values.only === 'all'
    ? [ATTACKS]
    : values.only
      ? [[values.only as Attack]]
      : [...ATTACKS.map((one) => [one]), ATTACKS]
let broken = 0
for (const attacks of runs) {
  const stops: (() => Promise<void>)[] = []
  console.log(`\n== ${attacks.join(', ')} ==`)
  try {
    const report = await runHostileHour(
      { after: (stop) => void stops.push(stop) },
      {
        attacks,
        nodes: Number(values.nodes),
        minutes,
        speed: Number(values.speed),
        sampleMinutes: minutes / 12,
        tagValuesMax: Number(values.limit),
        raiseMinutes: minutes / 2,
        scanAddresses: Number(values.addresses),
        manyEntries: Number(values.entries),
        largeBytes: 1_000_000,
        descriptorsMax: 1_024,
        log: (text) => console.log(text),
      },
    )
    print(report)
    const faults = faultsOf(report)
    broken += faults.length
    for (const fault of faults) console.log(`  BROKEN  ${fault}`)
    if (faults.length === 0) console.log('  every promise holds')
    if (values.output) console.log(report.serviceOutput.slice(-20_000))
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}
process.exitCode = broken === 0 ? 0 : 1

function print(report: HostileReport): void {
  const { final, letters, account } = report
  console.log(`/health changed ${report.healthChanges.length - 1} times:`)
  for (const { minute, state, text } of report.healthChanges.slice(0, 40))
    console.log(`  minute ${minute.toFixed(1)}: ${state}${text === '' ? '' : `: ${text.slice(0, 600)}`}`)
  console.log(
    `honest: ${final.honest.due} points due, ${final.honest.missing.length} missing; hostile: ${final.hostile.due} due, ${final.hostile.missing.length} missing, ${final.hostile.foreign.length} too many`,
  )
  console.log(
    `letters: ${letters.lines} lines, ${(letters.bytes / 2 ** 20).toFixed(1)} MiB, ${letters.kept} kept + ${letters.counted} counted; to account for: ${account.bad} parts set aside, ${account.refused} lines refused, of ${account.messages} messages`,
  )
  for (const [key, count] of Object.entries(letters.by)) console.log(`  ${count}  ${key}`)
  console.log(
    `counters: quarantined ${report.quarantinedTotal}, dropped ${report.droppedTotal}; restarts: service ${report.serviceRestarts}, influxd ${report.databaseRestarts}; peak memory ${report.peakRssMiB} MiB; all there ${report.drainMinutes?.toFixed(1) ?? 'never'} min after the end; ${report.seconds.toFixed(0)} s`,
  )
}
