/** What is not settled: the list in the state file against the simplest one in memory, step by step, with restarts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openStateFile } from '../../../src/ledger/sqlite/state-file.ts'
import { createUnsettledList } from '../../../src/ledger/sqlite/unsettled-list.ts'
import { TIERS, type UnsettledList } from '../../../src/ledger/unsettled.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { createMemoryUnsettled } from '../../helpers/memory-unsettled.ts'
import { silentLog } from '../../helpers/silent.ts'

const startNs = fc.bigInt(0n, 4n)
const listed = fc.record({ tier: fc.constantFrom(...TIERS), startNs })
const step = fc.oneof(
  fc.record({ kind: fc.constant('read' as const), minutes: fc.uniqueArray(startNs, { minLength: 1 }) }),
  fc.record({ kind: fc.constant('must' as const), some: fc.array(listed, { maxLength: 3 }) }),
  fc.record({
    kind: fc.constant('strike' as const),
    one: listed,
    back: fc.integer({ min: 0, max: 2 }),
    follow: fc.array(listed, { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('restart' as const) }),
  fc.record({ kind: fc.constant('fail' as const), minutes: fc.uniqueArray(startNs, { minLength: 1 }) }),
)

test('the list is what the steps make of it, also after restarts and transactions that fail', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const file = openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
      const model = createMemoryUnsettled()
      let list = createUnsettledList(file, 'a')
      const other = createUnsettledList(file, 'b')
      let nowNs = 0n
      for (const one of steps) {
        nowNs += 1n
        if (one.kind === 'read') {
          file.transaction(() => list.writeRead(one.minutes, nowNs))()
          model.read(one.minutes, nowNs)
        } else if (one.kind === 'must') {
          list.must(one.some, nowNs)
          model.must(one.some, nowNs)
        } else if (one.kind === 'strike') {
          const known = model.find(one.one.tier, one.one.startNs)
          const upTo = { read: (known?.read ?? 0) - one.back, must: (known?.must ?? 0) - one.back + 1 }
          const others = one.follow.filter((more) => more.tier !== one.one.tier || more.startNs !== one.one.startNs)
          list.strikeOff(one.one, upTo, others, nowNs)
          model.strikeOff(one.one, upTo, others, nowNs)
        } else if (one.kind === 'fail') {
          assert.throws(() =>
            file.transaction(() => {
              list.writeRead(one.minutes, nowNs)
              throw new Error('the rest of the transaction')
            }),
          )
        } else list = createUnsettledList(file, 'a')
        assert.deepEqual(look(list), look(model))
      }
      assert.deepEqual(look(other), look(createMemoryUnsettled()), 'another tailnet')
      file.close()
    }),
  )
})

function look(list: UnsettledList) {
  return TIERS.map((tier) => list.all(tier))
}
