import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSemaphore } from '../../src/base/semaphore.ts'

test('no more places are taken than there are, and who came first is served first', async () => {
  const semaphore = createSemaphore(2)
  const { signal } = new AbortController()
  const first = await semaphore.take(signal)
  const second = await semaphore.take(signal)
  const order: string[] = []
  const taken = async (name: string) => {
    const release = await semaphore.take(signal)
    order.push(name)
    return release
  }
  const third = taken('third')
  const fourth = taken('fourth')
  await Promise.resolve()
  assert.deepEqual(order, [])
  first()
  first()
  const releaseThird = await third
  assert.deepEqual(order, ['third'], 'a place released twice is free once')
  second()
  const releaseFourth = await fourth
  assert.equal(semaphore.taken, 2)
  releaseThird()
  releaseFourth()
  assert.equal(semaphore.taken, 0)
})

test('who is aborted while waiting gets the reason and takes no place', async () => {
  const semaphore = createSemaphore(1)
  const release = await semaphore.take(new AbortController().signal)
  const stop = new AbortController()
  const waiting = semaphore.take(stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  await assert.rejects(semaphore.take(stop.signal), /enough/)
  release()
  assert.equal(semaphore.taken, 0)
})
