import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { messageOf, systemCode } from '../../src/base/errors.ts'
import { compare } from '../../src/base/order.ts'
import { isBusyCode, isDamageCode, prepareExact, SQLITE, sqliteCode } from '../../src/base/sqlite.ts'

function errorOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('errors of SQLite have a code, others have none', () => {
  const db = new DatabaseSync(':memory:')
  const error = errorOf(() => db.exec('no sql'))
  assert.equal(sqliteCode(error), SQLITE.error)
  assert.match(messageOf(error), /syntax error/)
  for (const other of [new Error('no'), undefined, null, 'text', { errcode: '5' }])
    assert.equal(sqliteCode(other), undefined)
  assert.equal(sqliteCode({ errcode: SQLITE.busy | (2 << 8) }), SQLITE.busy)
  db.close()
})

test('codes say what is wrong with a file', () => {
  assert.deepEqual(Object.values(SQLITE).filter(isBusyCode), [SQLITE.busy, SQLITE.locked])
  assert.deepEqual(Object.values(SQLITE).filter(isDamageCode), [SQLITE.corrupt, SQLITE.notADatabase])
  assert.ok(!isBusyCode(undefined) && !isDamageCode(undefined))
})

test('an exact statement gives integers back as they were stored', () => {
  const db = new DatabaseSync(':memory:')
  const ns = 1_761_691_191_890_385_065n
  assert.deepEqual({ ...prepareExact(db, 'SELECT ? AS ns').get(ns) }, { ns })
  db.close()
})

test('errors of the system have a code, and anything thrown has a message', () => {
  assert.equal(systemCode(Object.assign(new Error('no'), { code: 'ENOENT' })), 'ENOENT')
  assert.equal(systemCode(new Error('no')), undefined)
  assert.equal(systemCode({ code: 'ENOENT' }), undefined)
  assert.equal(messageOf('a text'), 'a text')
})

test('values are put in order', () => {
  assert.deepEqual([3n, -1n, 2n ** 63n, 3n].toSorted(compare), [-1n, 3n, 3n, 2n ** 63n])
  assert.deepEqual(['b', '', 'a'].toSorted(compare), ['', 'a', 'b'])
})
