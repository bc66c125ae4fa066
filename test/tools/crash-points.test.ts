/** The short form of `npm run crash-points`: some of the system calls, other ones each time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCrashPoints } from '../../tools/crash-points/crash-points.ts'
import { missing } from '../services/servers.ts'

test('killed at a system call that changes the state file, it goes on from there', {
  skip: await missing('strace'),
}, async (t) => {
  const from = 1 + (Date.now() % 40)
  const report = await runCrashPoints(t, { every: 70, from, log: (text) => t.diagnostic(text) })
  t.diagnostic(`every 70th call, from the ${from}th of each kind on: ${report.killed} runs killed`)
  assert.ok(report.killed >= 3 && report.points > 20, `${report.killed} killed, ${report.points} points`)
})
