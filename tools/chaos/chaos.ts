/** Real processes under random faults, minutes long.
 *
 *   npm run chaos [-- --kills 200 --database-kills 20 --hours 24 --seed 1]
 *
 * Ends with exit code 1 and the seed when an invariant is broken. Random instants are not repeatable to the microsecond, but the order of
 * faults is. */
import { readOptions } from '../options.ts'
import { runChaos } from './chaos-run.ts'

const values = readOptions('npm run chaos', {
  kills: { type: 'string', default: '200' },
  'database-kills': { type: 'string', default: '20' },
  hours: { type: 'string', default: '24' },
  nodes: { type: 'string', default: '6' },
  activity: { type: 'string', default: '0.5' },
  seed: { type: 'string', default: String(Date.now() % 100_000) },
})
const stops: (() => Promise<void>)[] = []
console.log(`seed ${values.seed}`)
try {
  const report = await runChaos(
    { after: (stop) => void stops.push(stop) },
    {
      seed: Number(values.seed),
      serviceKills: Number(values.kills),
      databaseKills: Number(values['database-kills']),
      hours: Number(values.hours),
      nodes: Number(values.nodes),
      activity: Number(values.activity),
      log: (text) => console.log(text),
    },
  )
  for (const [name, count] of [...report.bites].sort(([one], [other]) => (one < other ? -1 : 1)))
    console.log(`${String(count).padStart(7)}  ${name}`)
  console.log(
    `${report.points} points, each as the truth has it; ${report.apiRequests} requests for logs; ${report.seconds.toFixed(0)} s`,
  )
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  for (const stop of stops.reverse()) await stop()
}
