/** A short form of `npm run clock-jumps`: the farthest jumps, at a schedule of ten seconds. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { faultsOf, startJumpWorld } from '../../tools/clock-jumps/clock-jumps-run.ts'
import { missing } from '../services/servers.ts'

const FAR_SECONDS = 4_000 * 86_400 + 2

test('a wall clock that jumps by 4,000 days, forward and back: /livez answers, nothing grows, polls come at their times', {
  skip: await missing('libfaketime'),
}, async (t: TestContext) => {
  const stops: (() => Promise<void>)[] = []
  t.after(async () => {
    for (const stop of stops.reverse()) await stop()
  })
  const world = await startJumpWorld({ after: (stop) => void stops.push(stop) }, { schedule: '*/10 * * * * *' })
  for (const jump of [
    { seconds: FAR_SECONDS, isSuspended: false },
    { seconds: -2 * FAR_SECONDS, isSuspended: false },
  ]) {
    const report = await world.jump(jump, 22_000)
    assert.deepEqual(faultsOf(report), [], JSON.stringify(report))
  }
})
