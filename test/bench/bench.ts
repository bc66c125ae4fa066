/** `npm run bench`: measures everything in one go, on one machine, so that ratios hold. With names as arguments: only those measurements. */

import { measureEndToEnd } from './end-to-end.ts'
import { describeMachine } from './machine.ts'
import { measureMemory } from './memory.ts'
import { type Measured, type Progress, type Report, reportText, writeReport } from './report.ts'
import { measureRoute } from './route.ts'

const MEASUREMENTS = {
  route: measureRoute,
  'end-to-end': measureEndToEnd,
  memory: measureMemory,
} as const satisfies Record<string, (progress: Progress) => Promise<Measured>>
type MeasurementName = keyof typeof MEASUREMENTS

const wanted = process.argv.slice(2) as MeasurementName[]
const unknown = wanted.filter((name) => !(name in MEASUREMENTS))
if (unknown.length > 0)
  throw new Error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(MEASUREMENTS).join(', ')}`)

const beganMs = performance.now()
const machine = describeMachine()
const measured: Record<string, Measured> = {}
const seconds = () => (performance.now() - beganMs) / 1000
for (const name of wanted.length > 0 ? wanted : (Object.keys(MEASUREMENTS) as MeasurementName[])) {
  measured[name] = await MEASUREMENTS[name]((what) => console.error(`${seconds().toFixed(0).padStart(4)} s  ${what}`))
}
const report: Report = { machine, seconds: seconds(), measured }
console.log(reportText(report))
console.error(`Written to ${writeReport(report)}`)
