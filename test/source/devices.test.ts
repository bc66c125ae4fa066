import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { createElementList } from '../../src/source/devices.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { json, text } from '../helpers/scripted-api.ts'
import { apiAndSource, faultOf } from './api-and-source.ts'

const SEED = 20_261_103

test('a device is called by the first part of its FQDN, or by its host name', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on(
    'devices',
    json(200, {
      devices: [
        {
          nodeId: 'n1CNTRL',
          id: '1',
          name: 'pangolin.tail1234.ts.net',
          hostname: 'Pangolin-Laptop',
          addresses: ['100.64.0.1', 'fd7a::1'],
          tags: ['tag:x', 'tag:b'],
          user: 'tagged-devices',
        },
        { nodeId: 'n2CNTRL', name: '', hostname: 'printer', addresses: ['100.64.0.2'], user: 'rob@example.com' },
        { nodeId: 'n3CNTRL', hostname: 'no-addresses', addresses: null },
        { id: '4', name: 'older-api', addresses: ['100.64.0.4', 7, ''] },
        { nodeId: 'n5CNTRL', name: '', hostname: '' },
        { name: 'nobody' },
        null,
        'text',
        17,
      ],
    }),
  )
  assert.deepEqual(await source.devices(signal), [
    { nodeId: 'n1CNTRL', name: 'pangolin', addresses: ['100.64.0.1', 'fd7a::1'], owner: 'tag:b,tag:x' },
    { nodeId: 'n2CNTRL', name: 'printer', addresses: ['100.64.0.2'], owner: 'rob@example.com' },
    { nodeId: 'n3CNTRL', name: 'no-addresses', addresses: [] },
    { nodeId: '4', name: 'older-api', addresses: ['100.64.0.4'] },
  ])
  assert.equal(api.asked()[0]?.url, '/api/v2/tailnet/-/devices')
})

test('the OS, and whether a device is connected, come from the list; older answers say when it was seen', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const seen = (agoMs: number) => new Date(Number(NOON_NS / 1_000_000n) - agoMs).toISOString()
  const device = (number: number, more: object) => ({
    nodeId: `n${number}`,
    name: `h${number}`,
    addresses: [],
    ...more,
  })
  api.on(
    'devices',
    json(200, {
      devices: [
        device(1, { os: 'linux', connectedToControl: true }),
        device(2, { os: 7, connectedToControl: false, lastSeen: seen(0) }),
        device(3, { lastSeen: seen(60_000) }),
        device(4, { lastSeen: seen(3_600_000) }),
        device(5, { connectedToControl: 'yes', lastSeen: 'never' }),
      ],
    }),
  )
  const devices = await source.devices(signal)
  assert.deepEqual(
    devices.map(({ os, isConnected }) => [os, isConnected]),
    [
      ['linux', true],
      [undefined, undefined],
      [undefined, true],
      [undefined, undefined],
      [undefined, undefined],
    ],
  )
})

test('fifty thousand devices are read, however large their answer', async (t) => {
  const { api, source, metrics, signal } = await apiAndSource(t)
  const padding = 'x'.repeat(1500)
  api.on('devices', async (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"devices":[')
    for (let index = 0; index < 50_000; index++) {
      const device = {
        nodeId: `n${index}CNTRL`,
        name: `host-${index}.ts.net`,
        addresses: [`100.64.${index >> 8}.${index & 255}`],
        machineKey: padding,
      }
      if (!response.write(`${index ? ',' : ''}${JSON.stringify(device)}`))
        await new Promise((go) => response.once('drain', go))
    }
    response.end(']}')
  })
  const devices = await source.devices(signal)
  assert.equal(devices.length, 50_000)
  assert.deepEqual(devices[49_999], { nodeId: 'n49999CNTRL', name: 'host-49999', addresses: ['100.64.195.79'] })
  const bytes = (metrics.calls.get('bytes') ?? []).reduce((sum, [count]) => sum + Number(count), 0)
  assert.ok(bytes > 75e6, 'more than 64 MiB of answer')
})

test('refusals name the scope of the devices', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  for (const [status, code] of [
    [403, 'api_forbidden'],
    [404, 'api_not_found'],
  ] as const) {
    api.on('devices', json(status, { message: 'not found' }))
    const fault = await faultOf(source.devices(signal))
    assert.equal(fault.code, code)
    assert.match(fault.message, /devices:core:read/)
  }
  assert.equal(api.asked('settings').length, 0)
})

test('an answer without the list is no empty tailnet', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  const head = { 'content-type': 'application/json' }
  for (const body of [
    '',
    '{}',
    '[]',
    'null',
    '<html>',
    '{"devices":{}}',
    '{"devices":"x"}',
    '{"devices":[]}x',
    '{"devices":[,]}',
    '{"devices" []}',
    '{"devices":[{]}]}',
    '{"x":<}',
    '{"devices":[{"a":nope}]}',
  ]) {
    api.on('devices', text(200, body, head))
    const fault = await faultOf(source.devices(signal))
    assert.deepEqual([fault.code, fault.reaction], ['api_not_json', 'retry'], body)
  }
  for (const body of ['{"devices":[', '{"devices":[{}', '{"devices":[{}]', '{"dev', '{"devices":nul']) {
    api.on('devices', text(200, body, head))
    assert.equal((await faultOf(source.devices(signal))).code, 'api_truncated', body)
  }
  for (const body of ['{"devices":null}', ' { "x" : [ { } , "]" ] , "devices" : [ ] } ']) {
    api.on('devices', text(200, body, head))
    assert.deepEqual(await source.devices(signal), [])
  }
})

test('one device cannot fill the memory', async (t) => {
  const { api, source, signal } = await apiAndSource(t)
  api.on('devices', json(200, { x: 'y'.repeat(3 << 20), devices: [{ name: 'z'.repeat(1 << 20) }] }))
  assert.equal((await faultOf(source.devices(signal))).code, 'api_too_large')
})

test('the published samples of older APIs are read', async (t) => {
  for (const name of ['tsmetrics-devices.json', 'tsmetrics-devices-02.json']) {
    const body = await readFile(new URL(`../../../shared/samples/${name}`, import.meta.url), 'utf8').catch(
      () => undefined,
    )
    if (body === undefined) return t.skip(`sample ${name} is not there`)
    const { api, source, signal } = await apiAndSource(t)
    api.on('devices', text(200, body, { 'content-type': 'application/json' }))
    const wire = JSON.parse(body).devices as { id: string; addresses: string[] }[]
    const devices = await source.devices(signal)
    assert.deepEqual(
      devices.map(({ nodeId, addresses }) => ({ id: nodeId, addresses })),
      wire.map(({ id, addresses }) => ({ id, addresses })),
    )
  }
})

test('however the bytes are cut, the elements are those of JSON.parse', () => {
  const document = fc.record({ before: fc.jsonValue(), list: fc.array(fc.jsonValue()), after: fc.jsonValue() })
  fc.assert(
    fc.property(document, fc.integer({ min: 1, max: 9 }), fc.constantFrom(undefined, 1, 2), (value, size, indent) => {
      const bytes = Buffer.from(JSON.stringify(value, null, indent))
      const list = createElementList('list', 1 << 20)
      const seen: unknown[] = []
      for (let at = 0; at < bytes.length; at += size) {
        const lent = Buffer.from(bytes.subarray(at, at + size))
        seen.push(...list.push(lent))
        lent.fill(0x7d)
      }
      list.end()
      assert.deepEqual(seen, JSON.parse(JSON.stringify(value.list)))
    }),
    { seed: SEED, numRuns: 300 },
  )
})
