import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPlaces } from '../../../src/sink/influxdb/places.ts'
import { configOf } from './influx-world.ts'

test('InfluxQL reads each measurement where it is, on all three servers', () => {
  const from = (settings: Parameters<typeof configOf>[0]) => {
    const places = createPlaces(configOf(settings))
    const names = ['tailnet_flow', 'tailnet_edge', 'tailnet_node', 'tailnet_edge_1h', 'tailnet_device']
    return [places.db, ...names.map(places.from)]
  }
  const together = ['"tailnet_flow"', '"tailnet_edge"', '"tailnet_node"', '"tailnet_edge_1h"', '"tailnet_device"']
  const apart = [
    '"flows"."raw"."tailnet_flow"',
    '"flows"."minutes"."tailnet_edge"',
    '"flows"."minutes"."tailnet_node"',
    '"tailnet_edge_1h"',
    '"tailnet_device"',
  ]
  const retention = { raw: 7, minutes: 30 }
  for (const main of [
    { api: 'v1', db: 'flows' },
    { api: 'v2', bucket: 'flows' },
    { api: 'v3', bucket: 'flows' },
  ]) {
    assert.deepEqual(from(main), ['flows', ...together])
    assert.deepEqual(from({ ...main, retention: { rest: 365 } }), ['flows', ...together])
    assert.deepEqual(from({ ...main, retention }), ['flows', ...apart])
  }
  for (const main of [
    { api: 'v1', db: 'flows', rp: 'year' },
    { api: 'v2', bucket: 'flows/year' },
  ]) {
    const inYear = together.map((name) => `"flows"."year".${name}`)
    assert.deepEqual(from(main), ['flows', ...inYear])
    assert.deepEqual(from({ ...main, retention }), ['flows', ...apart.slice(0, 3), ...inYear.slice(3)])
  }
  assert.deepEqual(from({ api: 'v1', db: 'a/b' })[0], 'a/b', 'a name of 1.x is taken as it is')
})

test('each place once, the main one first, with its name and how long it should keep points', () => {
  const of = (settings: Parameters<typeof configOf>[0]) =>
    createPlaces(configOf(settings)).all.map(({ label, name, retentionMs }) => [
      label,
      name,
      (retentionMs ?? 0) / 86_400_000,
    ])
  const retention = { raw: 7, minutes: 30, rest: 400 }
  assert.deepEqual(of({ api: 'v1' }), [['database telemetry', undefined, 0]])
  assert.deepEqual(of({ api: 'v1', retention }), [
    ['database telemetry', undefined, 400],
    ['retention policy raw of database telemetry', 'raw', 7],
    ['retention policy minutes of database telemetry', 'minutes', 30],
  ])
  assert.deepEqual(of({ api: 'v2', retention: { raw: 7 } }), [
    ['bucket telemetry', 'telemetry', 0],
    ['bucket telemetry/raw', 'telemetry/raw', 7],
  ])
  assert.deepEqual(of({ api: 'v3', bucket: 'net/30d', retention: { minutes: 30 } }), [
    ['database net/30d', 'net/30d', 0],
    ['database net/minutes', 'net/minutes', 30],
  ])
})
