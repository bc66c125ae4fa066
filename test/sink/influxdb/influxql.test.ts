import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equals, identifier } from '../../../src/sink/influxdb/influxql.ts'
import { startInfluxd } from '../../services/influxd.ts'

const HOSTILE = ['plain', 'two words', `a"b`, `a'b`, 'a\\b', `\\"; DROP DATABASE "flows"`, `\\'; --`, 'grün/日本']

test('names and texts that try to get out of their quotes come back from a real InfluxDB as they were', async (t) => {
  const influxd = await startInfluxd(t, { databases: ['flows'] })
  const lines = HOSTILE.map((_, index) => `m,tag=t${index} text="x" ${index + 1}`).join('\n')
  await fetch(`${influxd.url}/write?db=flows`, { method: 'POST', body: lines })
  for (const [index, text] of HOSTILE.entries()) {
    const [answer] = await influxd.query(
      `SELECT "text" AS ${identifier(text)} FROM "autogen"."m" WHERE "tag" = 't${index}' OR ${equals('tag', text)}`,
      'flows',
    )
    assert.deepEqual(answer?.series?.[0]?.columns, ['time', text])
    assert.deepEqual(answer?.series?.[0]?.values, [[index + 1, 'x']])
  }
  for (const text of ['a"b', `"`, `it's "x" /^$.*`, 'a.b']) {
    const line = `one,tag=${text.replaceAll(' ', '\\ ')} v=1i 1\none,tag=a-b v=1i 1\none,tag=aXb v=1i 1`
    await fetch(`${influxd.url}/write?db=flows`, { method: 'POST', body: line })
    const [found] = await influxd.query(`SELECT count("v") FROM "one" WHERE ${equals('tag', text)}`, 'flows')
    assert.equal(found?.series?.[0]?.values[0]?.[1], 1, text)
  }
  // InfluxDB takes no backslash in the name of a database.
  const name = `"; DROP DATABASE "flows`
  await influxd.query(`CREATE DATABASE ${identifier(name)}`)
  const [databases] = await influxd.query('SHOW DATABASES')
  const names = databases?.series?.[0]?.values.map(([one]) => one)
  assert.ok(names?.includes('flows') && names.includes(name), `${names}`)
})
