import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { eventually } from '../helpers/eventually.ts'
import { startWholeService } from './whole-service.ts'

test('a service whose timers went dead answers /livez with 503, and with 200 once it polls again', async (t) => {
  let passedMs = 0
  let isDead = false
  let asleep = 0
  const { url, service } = await startWholeService(t, {
    clock: {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() + passedMs,
      sleep(ms, signal) {
        if (!isDead) return systemClock.sleep(ms, signal)
        asleep += 1
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      },
    },
  })
  const livez = async () => (await fetch(`${url}/livez`)).status
  await eventually('the first poll', () => service.pipeline.status().watermarkNs !== null)
  assert.equal(await livez(), 200)
  isDead = true
  await eventually('the schedule to sleep for ever', () => asleep > 0)
  // What was in progress comes to an end.
  await service.pipeline.tick()
  passedMs = 30 * 60_000
  assert.equal(await livez(), 503)
  isDead = false
  await service.pipeline.tick()
  assert.equal(await livez(), 200)
})
