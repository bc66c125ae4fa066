import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth } from '../../src/observe/health.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

test('the whole is as bad as its worst component, and says that component’s sentence', () => {
  const health = createHealth({ clock: createFakeClock() })
  assert.deepEqual(health.state(), { status: 'ok', components: [] })
  health.set('names', 'warning', 'api_forbidden', 'Names cannot be read; add the scope.')
  health.set('source', 'ok')
  assert.equal(health.state().status, 'warning')
  assert.equal(health.state().text, 'Names cannot be read; add the scope.')
  health.set('sink', 'error', 'db_unauthorized', 'The token is wrong; make a new one.')
  const state = health.state()
  assert.equal(state.status, 'error')
  assert.equal(state.text, 'The token is wrong; make a new one.')
  assert.deepEqual(
    state.components.map((component) => [component.component, component.status, component.code]),
    [
      ['source', 'ok', undefined],
      ['sink', 'error', 'db_unauthorized'],
      ['names', 'warning', 'api_forbidden'],
    ],
  )
  health.set('sink', 'ok')
  health.set('names', 'ok')
  assert.equal(health.state().status, 'ok')
  assert.equal(health.state().text, undefined)
})

test('one condition that is well does not hide another that is not', async () => {
  const clock = createFakeClock()
  const health = createHealth({ clock })
  let changes = 0
  health.onChange(() => void (changes += 1))
  health.set('sink', 'ok', undefined, undefined, 'breaker')
  await clock.advance(1_000)
  health.set('sink', 'warning', 'db_unconfirmed', 'It cannot be asked; allow it to read.', 'checkpoint')
  health.set('sink', 'ok', undefined, undefined, 'breaker')
  assert.equal(health.state().text, 'It cannot be asked; allow it to read.')
  health.set('sink', 'error', 'db_limit', 'It is at its limit; raise it.', 'limit')
  assert.deepEqual([health.state().status, health.state().text], ['error', 'It is at its limit; raise it.'])
  await clock.advance(1_000)
  health.set('sink', 'error', 'db_unreachable', 'It is away; start it.', 'breaker')
  assert.equal(health.state().text, 'It is at its limit; raise it.', 'among equals the oldest')
  health.set('sink', 'ok', undefined, undefined, 'limit')
  assert.equal(health.state().text, 'It is away; start it.')
  health.set('sink', 'ok', undefined, undefined, 'breaker')
  assert.equal(health.state().components[0]?.since, '2026-11-02T12:00:01.000Z', 'the warning stands since it began')
  health.set('sink', 'ok', undefined, undefined, 'checkpoint')
  assert.equal(health.state().status, 'ok')
  assert.equal(changes, 6)
})

test('since stays while status and code stay, and listeners hear of changes only', async () => {
  const clock = createFakeClock()
  const health = createHealth({ clock })
  let changes = 0
  const end = health.onChange(() => {
    changes += 1
  })
  const since = () => health.state().components[0]?.since
  health.set('sink', 'error', 'db_timeout', 'one')
  const first = since()
  await clock.advance(5_000)
  health.set('sink', 'error', 'db_timeout', 'two')
  assert.equal(since(), first)
  assert.equal(health.state().text, 'two')
  assert.equal(changes, 1)
  health.set('sink', 'error', 'db_unreachable', 'three')
  assert.notEqual(since(), first)
  health.setReady(true)
  health.setReady(true)
  assert.equal(health.isReady(), true)
  assert.equal(changes, 3)
  end()
  health.set('sink', 'ok')
  assert.equal(changes, 3)
})
