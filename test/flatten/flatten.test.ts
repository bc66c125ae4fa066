import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { CollectorError } from '../../src/base/errors.ts'
import { ExactSums } from '../../src/flatten/exact-sums.ts'
import { createFlattener } from '../../src/flatten/flatten.ts'
import { FLOW_CELLS, FLOW_KIND, FLOW_PATH, PATH_DIRECT, type Points } from '../../src/flatten/points.ts'
import { PORTS, type Ports, portsSchema, servicePort } from '../../src/flatten/ports.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { ENTRY_CELLS, KIND, KINDS, type Message } from '../../src/source/parse/message.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { parseLines } from '../sink/line-protocol/parse-lines.ts'
import { modelOf } from './model.ts'

const SEED = 20_260_803
const LIMITS = { answerBytesMax: 1 << 28, messageBytesMax: 1 << 24, depthMax: 8 }

interface Result {
  /** All lines, each ended by "\n". */
  readonly lines: string
  /** `<reason> <kind> <text>` */
  readonly quarantined: readonly string[]
}

function run(
  body: string | Uint8Array,
  ports: Ports,
  look?: (points: Points) => void,
  flattener = flattenerOf(ports, '-'),
): Result {
  const reader = createMessageReader(LIMITS)
  const writer = createLineWriter({ batchLinesMax: 5_000, batchBytesMax: 1 << 16 })
  const quarantined: string[] = []
  const lines: string[] = []
  const note = (parts: Message['quarantined']) => {
    for (const part of parts) quarantined.push(`${part.reason} ${part.kind ?? '-'} ${part.text}`)
  }
  for (const message of reader.push(typeof body === 'string' ? Buffer.from(body) : body)) {
    note(message.quarantined)
    if (message.entryCount === 0) continue
    const points = flattener.flatten(message)
    note(points.quarantined)
    look?.(points)
    writer.append(points)
    for (let batch = writer.full(); batch; batch = writer.full()) lines.push(Buffer.from(batch.bytes).toString())
  }
  reader.end()
  for (const batch of writer.rest()) lines.push(Buffer.from(batch.bytes).toString())
  return { lines: lines.join(''), quarantined }
}

const cases = new URL('../cases/', import.meta.url)

test('every case gives the lines that its folder expects', async (t) => {
  for (const name of readdirSync(cases).sort()) {
    await t.test(name, () => {
      const body = readFileSync(new URL(`${name}/in.json`, cases), 'utf8')
      for (const ports of PORTS) {
        const { lines, quarantined } = run(body, ports)
        const actual = lines + quarantined.map((one) => `# quarantined ${one}\n`).join('')
        const file = new URL(`${name}/expected.${ports}.lp`, cases)
        if (process.env['UPDATE_CASES']) writeFileSync(file, actual)
        assert.equal(actual, readFileSync(file, 'utf8'), `${name}, ports ${ports}`)
      }
    })
  }
})

const hostile = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.constantFrom(
    'a,b',
    'a b',
    'a=b',
    '"',
    '\\',
    'end\\',
    'a\nb',
    '\r',
    '\u0000',
    '\u2028',
    '😀',
    '\ud83d',
    'é'.repeat(200),
    'none',
    '=',
    ' ',
  ),
  fc.string({ unit: 'binary', minLength: 90, maxLength: 300 }),
)
const usualAddress = fc.constantFrom('100.64.0.1', '100.64.0.2', '10.0.0.9', 'fd7a:115c:a1e0::1', '8.8.8.8')
const address = fc.oneof({ weight: 5, arbitrary: usualAddress }, hostile)
const port = fc.oneof(fc.constantFrom(0, 22, 443, 32767, 32768, 50000, 65535), fc.nat(70_000))
const end = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(address, port)
      .map(([ip, number]) => (ip.includes(':') ? `[${ip}]:${number}` : `${ip}:${number}`)),
  },
  address,
  hostile,
  fc.nat(70_000).map((region) => `127.3.3.40:${region % 5}`),
)
const usualCount = fc.nat(100_000).map(BigInt)
const hugeCount = fc.oneof(
  fc.bigInt(0n, 1n << 54n),
  fc.bigInt(0n, 1n << 63n),
  fc.constantFrom((1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n),
)
const digits = (value: bigint) => ({ digits: String(value) })
const proto = fc.oneof(
  fc.constantFrom(6, 17, 1, 58, 99, 255, 0, 200, 256),
  fc.constantFrom('tcp', 'ICMPv6', '17', 'weird,one', '300', '', 'NONE'),
  hostile,
)

function entryWith(count: fc.Arbitrary<bigint>) {
  const counter = count.map(digits)
  return fc.record(
    { proto, src: end, dst: end, txBytes: counter, txPkts: counter, rxBytes: counter, rxPkts: counter },
    { requiredKeys: [] },
  )
}
const node = fc.record(
  {
    nodeId: fc.constantFrom('n1', 'n2'),
    name: fc.oneof(fc.constantFrom('pc.example.ts.net', 'nas', '.x', ''), hostile),
    addresses: fc.array(fc.oneof(address, fc.constant('')), { maxLength: 3 }),
  },
  { requiredKeys: [] },
)
/** Texts of messages: entries of few addresses, so that many of them fold. */
const message = fc.boolean().chain((huge) => {
  const list = fc.array(entryWith(huge ? fc.oneof(usualCount, hugeCount) : usualCount), { maxLength: 8 })
  return fc
    .record(
      {
        nodeId: fc.oneof({ weight: 4, arbitrary: fc.constant('n1') }, hostile),
        start: fc.constantFrom('2026-08-01T10:00:00Z', '2026-08-01T10:00:00.000000001Z', '2026-08-01T10:00:00.5+02:00'),
        logged: fc.constantFrom('2026-08-01T10:00:09Z', '2026-08-01T08:00:09.25Z'),
        srcNode: node,
        dstNodes: fc.array(node, { maxLength: 3 }),
        virtualTraffic: list,
        subnetTraffic: list,
        exitTraffic: list,
        physicalTraffic: list,
      },
      { requiredKeys: ['nodeId', 'start'] },
    )
    .map((value) => JSON.stringify(value).replace(/\{"digits":"(\d+)"\}/g, '$1'))
})
const sorted = (points: Iterable<unknown>) =>
  [...points]
    .map((point) =>
      JSON.stringify(point, (_, value) =>
        typeof value === 'bigint'
          ? `${value}`
          : value && typeof value === 'object' && !Array.isArray(value)
            ? Object.fromEntries(Object.entries(value).sort())
            : value,
      ),
    )
    .sort()

for (const ports of PORTS) {
  test(`any message gives the points of the naive model, one line each, ports ${ports}`, () => {
    // One for all, so that what it remembers of earlier messages counts too.
    const flattener = flattenerOf(ports, '-')
    fc.assert(
      fc.property(message, (json) => {
        const { lines, quarantined } = run(`{"logs":[${json}]}`, ports, undefined, flattener)
        const parsed = parseLines(lines)
        const model = modelOf(json, { ports, tailnet: 'default' })
        assert.deepEqual(sorted(parsed), sorted(model.points))
        const identities = new Set(
          parsed.map((line) => JSON.stringify([line.measurement, Object.entries(line.tags).sort()])),
        )
        assert.equal(identities.size, parsed.length, 'no two points of a message have the same tags')
        for (const line of parsed) {
          for (const value of Object.values(line.tags)) assert.ok(Buffer.byteLength(value) <= 256)
        }
        for (const kind of KINDS) {
          assert.equal(
            quarantined.filter((one) => one.startsWith(`bad_counter ${kind} `)).length,
            model.quarantined[kind] ?? 0,
          )
        }
      }),
      { seed: SEED, numRuns: 700 },
    )
  })
}

test('points tell as objects what the lines say', () => {
  fc.assert(
    fc.property(message, fc.constantFrom(...PORTS), (json, ports) => {
      const reported: unknown[] = []
      const { lines } = run(`{"logs":[${json}]}`, ports, (points) => {
        const { tailnet, node } = points
        for (let i = 0; i < points.count; i++) {
          const { kind, proto, src, dst, srcPort, dstPort, path, ...counters } = points.flow(i)
          const tags = { tailnet, node, kind, proto, src, dst, src_port: srcPort, dst_port: dstPort, path }
          const fields = {
            tx_bytes: counters.txBytes,
            tx_pkts: counters.txPkts,
            rx_bytes: counters.rxBytes,
            rx_pkts: counters.rxPkts,
            flows: BigInt(counters.flows),
          }
          reported.push({ measurement: 'tailnet_flow', tags, fields, timestampNs: points.startNs })
        }
        assert.equal(reported.length, points.count)
        assert.throws(() => points.flow(points.count), RangeError)
      })
      assert.deepEqual(sorted(reported), sorted(parseLines(lines)))
    }),
    { seed: SEED, numRuns: 200 },
  )
})

function digestsOf(body: string): bigint[] {
  const digests: bigint[] = []
  run(body, 'service', (points) => digests.push(points.digest))
  return digests
}

test('a digest is the same for a re-delivered copy and for entries in another order, and different for any other message', () => {
  const one = '{"proto":6,"src":"100.64.0.1:1","dst":"100.64.0.2:443","txPkts":1,"txBytes":52}'
  const two = '{"src":"100.64.0.2:1","rxBytes":52}'
  const of = (entries: string[], start = '10:00:00', id = 'n1', logged = '10:00:09', list = 'virtual') =>
    `{"nodeId":"${id}","start":"2026-08-01T${start}Z","logged":"2026-08-01T${logged}Z","${list}Traffic":[${entries}]}`
  const digest = (message: string) => digestsOf(`{"logs":[${message}]}`)[0]
  const first = digest(of([one, two]))
  assert.equal(digest(of([two, one])), first)
  assert.equal(digest(of([one, two], '10:00:00', 'n1', '11:11:11')), first)
  assert.equal(digest(of([one.replace('"src"', '"\\u0073rc"'), two])), first, 'the spelling of JSON does not count')
  const others = [
    of([one]),
    of([two]),
    of([one, one, two]),
    of([one, two], '10:00:00.000000001'),
    of([one, two], '10:00:01'),
    of([one, two], '10:00:00', 'n2'),
    of([one, two], '10:00:00', 'n1', '10:00:09', 'exit'),
    of([one.replace('443', '444'), two]),
    of([one.replace('.1:1', '.3:1'), two]),
    of([one.replace('"proto":6', '"proto":17'), two]),
    of([one.replace('"proto":6', '"proto":"odd"'), two]),
    of([one.replace('"proto":6', '"proto":"even"'), two]),
    of([one.replace('52', '53'), two]),
    of([one.replace('52', '4294967348'), two]),
    of([one.replace('txBytes', 'rxBytes'), two]),
    of([one.replace('52', '9007199254740993'), two]),
    of([one.replace('52', '9007199254740994'), two]),
    of([one.replace('52', '8007199254740993'), two]),
  ].map(digest)
  assert.equal(new Set([first, ...others]).size, others.length + 1)
})

test('digests of many small messages do not collide', () => {
  const seen = new Set<bigint>()
  const messages: string[] = []
  for (let i = 0; i < 20_000; i++) {
    messages.push(
      `{"nodeId":"n1","start":"2026-08-01T10:00:00Z","virtualTraffic":[{"src":"10.0.${i >> 8}.${i & 255}:1","txPkts":1},{"dst":"10.0.0.1:${i}","txPkts":${i}}]}`,
    )
  }
  for (const digest of digestsOf(`{"logs":[${messages}]}`)) seen.add(digest)
  assert.equal(seen.size, messages.length)
  // Both halves carry their share.
  assert.ok(new Set([...seen].map((digest) => digest & 0xffffffffn)).size > 19_980)
  assert.ok(new Set([...seen].map((digest) => digest >> 32n)).size > 19_980)
})

test('counters that do not add up throw: nothing of the message may be written', () => {
  const reader = createMessageReader(LIMITS)
  const body =
    '{"logs":[{"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"src":"a"},{"src":"b"},{"src":"b"}]}]}'
  for (const message of reader.push(Buffer.from(body))) {
    // Beyond 2^53 a double forgets ones, and it depends on the order which; a reader never fills columns like this.
    const broken: Message = { ...message, counters: Float64Array.from([2 ** 53, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]) }
    const flattener = flattenerOf()
    assert.throws(
      () => flattener.flatten(broken),
      (error) =>
        error instanceof CollectorError &&
        error.code === 'imbalance' &&
        error.reaction === 'reject' &&
        error.stage === 'flatten',
    )
    // The next message is none the worse for it.
    assert.equal(flattener.flatten(message).count, 2)
  }
})

test('counters beyond 2^53 are balanced too: a point that lost one is found', () => {
  const flowCells = new Int32Array(2 * FLOW_CELLS)
  flowCells[FLOW_CELLS + FLOW_KIND] = KINDS.indexOf('physical')
  for (const path of [PATH_DIRECT, 7]) {
    flowCells[FLOW_CELLS + FLOW_PATH] = path
    for (let cell = 0; cell < 8; cell++) {
      const sums = new ExactSums(2)
      for (const point of [0, 1, 1]) sums.add(flowCells, point, BigInt64Array.of(2n ** 53n, 1n, 2n ** 60n, 3n))
      assert.equal(sums.firstImbalance(flowCells, 2), undefined)
      sums.flows[cell]! -= 1n
      assert.equal(sums.firstImbalance(flowCells, 2), cell < 4 ? 'virtual' : 'physical')
    }
  }
})

test('settings of identity are those of the message’s own start, in whatever order messages are read', () => {
  const changeNs = 1785578460000000000n
  const flattener = createFlattener({
    tailnetAt: (startNs) => (startNs < changeNs ? '-' : 'example.com'),
    portsAt: (startNs) => (startNs < changeNs ? 'service' : 'full'),
  })
  const message = (start: string) =>
    `{"nodeId":"n1","start":"2026-08-01T10:00:${start}Z","virtualTraffic":[{"proto":6,"src":"100.64.0.1:40000","dst":"100.64.0.2:443","txBytes":1}]}`
  const [before, after] = [message('59.999999999'), message('60').replace('10:00:60', '10:01:00')]
  const tags = (body: string) =>
    parseLines(run(`{"logs":[${body}]}`, 'none', undefined, flattener).lines).map(
      ({ tags: { tailnet, src_port, dst_port } }) => [tailnet, src_port, dst_port],
    )
  assert.deepEqual(tags([before, after, before].join()), [
    ['default', 'none', '443'],
    ['example.com', '40000', '443'],
    ['default', 'none', '443'],
  ])
})

test('nothing that a message says about devices changes its points', () => {
  const bare =
    '{"nodeId":"n1","start":"2026-08-01T10:00:00Z",N"exitTraffic":[{"src":"100.64.0.1:1","dst":"8.8.8.8:53"}]}'
  const nodes =
    '"srcNode":{"nodeId":"n1","name":"pc.example","addresses":["100.64.0.1"]},"dstNodes":[{"nodeId":"n2","name":"dns","addresses":["8.8.8.8"]}],'
  for (const ports of PORTS) {
    const [one, other] = ['', nodes].map((more) => run(`{"logs":[${bare.replace('N', more)}]}`, ports).lines)
    assert.equal(one, other)
  }
})

test('a message of very many distinct tuples after small ones, and small ones after it', () => {
  const small =
    '{"nodeId":"n1","start":"2026-08-01T10:00:00Z","virtualTraffic":[{"proto":6,"src":"1.1.1.1:40000","dst":"2.2.2.2:22","txPkts":1}]}'
  const scan = Array.from(
    { length: 5_000 },
    (_, i) =>
      `{"proto":6,"src":"10.0.${i >> 8}.${i & 255}:${i + 40_000}","dst":"10.1.${i & 255}.${i >> 8}:${(i % 30_000) + 1}","txPkts":${i}}`,
  )
  const big = `{"nodeId":"n2","start":"2026-08-01T10:00:00Z","subnetTraffic":[${scan}]}`
  const parsed = parseLines(run(`{"logs":[${small},${big},${small}]}`, 'full').lines)
  assert.equal(parsed.length, 1 + 5_000 + 1)
  const flows = parsed.filter((line) => line.tags['node'] === 'n2')
  assert.equal(
    flows.reduce((sum, line) => sum + line.fields['tx_pkts']!, 0n),
    (4_999n * 5_000n) / 2n,
  )
})

test('the service port is the lower one below the ephemeral range, for protocols that have services', () => {
  const rows: [string, number, number, number, number][] = [
    ['client to server', 6, 50_000, 443, 443],
    ['server to client', 6, 443, 50_000, 443],
    ['two low ports', 17, 123, 53, 53],
    ['the last service port', 6, 32_767, 32_768, 32_767],
    ['both ephemeral', 6, 32_768, 60_000, -1],
    ['one absent', 6, -1, 22, 22],
    ['other absent', 6, 22, -1, 22],
    ['one scrubbed', 6, 0, 22, 22],
    ['other scrubbed', 6, 22, 0, 22],
    ['one absent, other ephemeral', 6, -1, 40_000, -1],
    ['both scrubbed', 6, 0, 0, -1],
    ['neither', 6, -1, -1, -1],
    ['equal', 17, 41_641, 41_641, -1],
    ['dccp', 33, 50_000, 5, 5],
    ['sctp', 132, 5, 50_000, 5],
    ['icmp', 1, 5, 6, -1],
    ['no protocol', 0, 5, 6, -1],
    ['a named protocol', 256, 5, 6, -1],
  ]
  for (const [what, proto, one, other, expected] of rows) {
    assert.equal(servicePort(0, proto, one, other), expected, what)
    assert.equal(servicePort(3, proto, one, other), -1, `${what}, physical`)
  }
  assert.equal(portsSchema.parse(undefined), 'service')
  assert.ok(!portsSchema.safeParse('all').success)
})

// The samples live beside the repository, not in it.
const samples = new URL('../../../shared/samples/', import.meta.url)
const skip = existsSync(samples) ? false : 'the folder of recorded samples is not beside this repository'

/** Every object with a traffic list in any JSON, as a message of its own; concatenated and line-wise JSON too. */
function messagesIn(text: string): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = []
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    const object = value as Record<string, unknown>
    if (Object.keys(object).some((key) => /^(virtual|subnet|exit|physical)Traffic$/.test(key))) found.push(object)
    else for (const one of Object.values(object)) visit(one)
  }
  for (const part of text.replace(/\}\s*\{/g, '}\n\0{').split('\0')) visit(JSON.parse(part))
  return found
}

test('every recorded sample goes through: counters in are counters out and quarantined, by kind', { skip }, () => {
  const files = readdirSync(samples, { recursive: true }) as string[]
  let messages = 0
  let entries = 0
  for (const file of files.filter(
    (one) => /\.(json|ndjson|txt)$/.test(one) && !/openapi-schemas|-operation|^influxdb-/.test(one),
  )) {
    let text = readFileSync(new URL(file, samples), 'utf8')
    // Lists of bare entries: as one list of the kind that their file is about.
    if (/exit-shapes/.test(file)) text = `{"exitTraffic":${text}}`
    if (/path-shapes/.test(file)) text = `{"physicalTraffic":${text}}`
    const bodies: string[] = []
    if (/^\s*\{\s*"logs"/.test(text)) bodies.push(text)
    else {
      for (const one of messagesIn(text)) {
        const known = { nodeId: 'nSampleCNTRL', start: '2026-08-01T10:00:00Z', ...one }
        bodies.push(`{"logs":[${JSON.stringify(known)}]}`)
      }
    }
    for (const body of bodies) {
      for (const ports of PORTS) {
        const inwards: Record<string, bigint> = {}
        const count = (sums: Record<string, bigint>, kind: string, value: unknown) => {
          const entry = value as Record<string, bigint | undefined>
          for (const name of ['txBytes', 'txPkts', 'rxBytes', 'rxPkts'])
            sums[`${kind} ${name}`] = (sums[`${kind} ${name}`] ?? 0n) + (entry[name] ?? 0n)
        }
        const exact = (json: string) =>
          JSON.parse(json, (_key, value, context?: { source?: string }) =>
            typeof value === 'number' ? BigInt(context!.source!) : value,
          )
        for (const message of exact(body).logs) {
          messages += 1
          for (const kind of KINDS) {
            for (const entry of message[`${kind}Traffic`] ?? []) {
              count(inwards, kind, entry)
              entries += 1
            }
          }
        }
        const outwards: Record<string, bigint> = {}
        const { lines, quarantined } = run(body, ports)
        for (const { tags, fields } of parseLines(lines)) {
          const { tx_bytes: txBytes, tx_pkts: txPkts, rx_bytes: rxBytes, rx_pkts: rxPkts } = fields
          count(outwards, tags['kind']!, { txBytes, txPkts, rxBytes, rxPkts })
        }
        for (const one of quarantined) {
          const [, , kind, json] = /^(\S+) (\S+) (.*)$/s.exec(one)!
          if (kind === '-') continue
          count(outwards, kind!, exact(json!))
        }
        assert.deepEqual(Object.entries(outwards).sort(), Object.entries(inwards).sort(), `${file}, ports ${ports}`)
      }
    }
  }
  assert.ok(
    messages / 3 >= 25 && entries / 3 >= 70,
    `only ${messages / 3} messages and ${entries / 3} entries in the samples`,
  )
})

test('what a message keeps in columns is what its reader says', () => {
  const reader = createMessageReader(LIMITS)
  const body =
    '{"logs":[{"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"src":"a"}],"physicalTraffic":[{}]}]}'
  for (const message of reader.push(Buffer.from(body))) {
    assert.deepEqual([message.cells[KIND], message.cells[ENTRY_CELLS + KIND]], [2, 3])
  }
})
