/** `npm run bench`: measures everything in one go, on one machine, so that ratios hold. With names as arguments: only those measurements. Not a test:
 * it ends well whatever the figures are. */
import { measureCatchUp } from './catch-up.ts'
import { measureEndToEnd } from './end-to-end.ts'
import { measureFreshness } from './freshness.ts'
import { measureGrowth } from './growth.ts'
import { startIdling } from './idle.ts'
import { describeMachine } from './machine.ts'
import { measureMemory } from './memory.ts'
import { type Measured, type Progress, type Report, reportText, writeReport } from './report.ts'
import { measureRollup } from './rollup.ts'
import { measureRoute } from './route.ts'

const MEASUREMENTS: Readonly<Record<string, (progress: Progress) => Promise<Measured>>> = {
  route: measureRoute,
  rollup: measureRollup,
  growth: measureGrowth,
  memory: measureMemory,
  'end-to-end': measureEndToEnd,
  'catch-up': measureCatchUp,
  freshness: measureFreshness,
}
const IDLE = 'idle'
const NAMES = [...Object.keys(MEASUREMENTS), IDLE]

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !NAMES.includes(name))
if (unknown.length > 0) {
  const isHelp = asked.includes('--help')
  process.stderr.write(`${isHelp ? '' : `Unknown: ${unknown.join(', ')}. `}There are ${NAMES.join(', ')}.\n`)
  process.exit(isHelp ? 0 : 2)
}
const wanted = asked.length > 0 ? asked : NAMES

const beganMs = performance.now()
const machine = describeMachine()
const measured: Record<string, Measured> = {}
const seconds = () => (performance.now() - beganMs) / 1000
const progress: Progress = (what) => console.error(`${seconds().toFixed(0).padStart(4)} s  ${what}`)
const idling = wanted.includes(IDLE) ? startIdling() : undefined
const report = (): Report => ({ machine, seconds: seconds(), measured })
for (const name of wanted) {
  if (name === IDLE) continue
  measured[name] = await MEASUREMENTS[name]!(progress)
  // What is known already is not lost when a later measurement fails.
  writeReport(report())
}
if (idling) measured[IDLE] = await idling.finish(progress)
console.log(reportText(report()))
console.error(`Written to ${writeReport(report())}`)
