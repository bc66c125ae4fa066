/** What every sink promises, as tests. Each implementation runs them in a file of its own, against the real thing. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { printable } from '../../src/flatten/tag-value.ts'
import { encodeLine } from '../../src/sink/line-protocol/encode-line.ts'
import type { DeadLetter, Sink, SinkMetrics, Target } from '../../src/sink/sink.ts'
import { countsOf } from './counts-of.ts'
import { live } from './influxdb/influx-world.ts'
import { parseLine } from './line-protocol/parse-lines.ts'

/** A point as the database returns it. */
export interface ReadBack {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
  readonly timestampNs: bigint
}

export interface SinkStage {
  readonly sink: Sink
  readonly letters: readonly DeadLetter[]
  readonly metrics: SinkMetrics & { calls: Map<string, unknown[][]> }
  /** The time that counts for the retention, ns. */
  nowNs(): bigint
  /** Everything of a measurement that is stored, in any order. */
  read(measurement: string): Promise<readonly ReadBack[]>
}

export interface SinkKind {
  readonly name: string
  readonly skip: string | false
  /** A fresh, empty place for each test. */
  stage(t: TestContext): Promise<SinkStage>
  /** Keeps integers of all 64 bits; a store of floats does not. */
  readonly isExact: boolean
  /** ns that it distinguishes. */
  readonly resolutionNs: bigint
  /** Points of this age are beyond its retention; undefined: it drops them without a word, or never. */
  readonly expiredAgeNs: bigint | undefined
  readonly checkpoint: 'answers' | 'has no questions'
}

const TARGETS = ['raw', 'minutes', 'main'] as const satisfies readonly Target[]
const INT64_MAX = (1n << 63n) - 1n
const INT64_MIN = -(1n << 63n)
/** What names of devices and addresses may look like after flatten/ has cleaned them. */
const HOSTILE = [
  'plain',
  'with blank',
  'a,b',
  'a=b',
  ' ,= ',
  ',tailnet=other',
  ' v=999i 1',
  '"quoted"',
  "it's",
  '#comment',
  'ü🙂 漢字',
  '\u00a0\ufeff',
  '$$x',
  "'; DROP MEASUREMENT m; --",
  '%00%0a',
  '[fd7a:115c:a1e0::1]:443',
  'x'.repeat(256),
  '🙂'.repeat(64),
]

export function testSinkContract(kind: SinkKind): void {
  const promise = (name: string, run: (stage: SinkStage, send: ReturnType<typeof senderOf>) => Promise<void>) =>
    test(`${kind.name}: ${name}`, { skip: kind.skip }, async (t) => {
      const stage = await kind.stage(t)
      await stage.sink.start(live())
      await run(stage, senderOf(stage.sink))
      await stage.sink.stop()
    })

  promise('what has a receipt is there', async (stage, send) => {
    const lines = manyLines(stage.nowNs(), 500)
    assert.deepEqual(await send(lines), { written: 500, rejected: 0, expired: 0 })
    assertSame(await stage.read('tailnet_flow'), lines)
    assert.deepEqual(stage.letters, [])
    assert.deepEqual(
      stage.metrics.calls.get('written')?.map(([count]) => count),
      [500],
    )
  })

  promise('writing again changes nothing, in any order and in other batches', async (stage, send) => {
    const lines = manyLines(stage.nowNs(), 60)
    await send(lines)
    await send(lines.toReversed())
    for (const line of lines.slice(0, 20)) await send([line])
    await send([...lines, ...lines])
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('points of one series that lie as close as it can tell apart stay apart', async (stage, send) => {
    const at = stage.nowNs() - 60_000_000_000n
    const lines = [0n, 1n, 2n].map((step) =>
      lineOf('tailnet_flow', { node: 'n1CNTRL' }, { tx_bytes: step + 1n }, at + step * kind.resolutionNs),
    )
    await send(lines)
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('hostile tag values come back as they are', async (stage, send) => {
    const lines = HOSTILE.flatMap((value, index) => [
      lineOf('tailnet_flow', { src: value, dst: 'none' }, { v: BigInt(index) }, stage.nowNs() - 1_000_000_000n),
      lineOf('tailnet_flow', { src: 'none', dst: value }, { v: BigInt(index) }, stage.nowNs() - 1_000_000_000n),
    ])
    assert.deepEqual(await send(lines), { written: lines.length, rejected: 0, expired: 0 })
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('counters keep all their bits', async (stage, send) => {
    const numbers = kind.isExact
      ? [0n, 1n, (1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, INT64_MAX - 1n, INT64_MAX, INT64_MIN, -1n]
      : [0n, 1n, (1n << 53n) - 1n, 1n << 53n, -1n]
    const at = stage.nowNs() - 60_000_000_000n
    const lines = numbers.map((number, index) =>
      lineOf('tailnet_flow', { node: 'n1CNTRL' }, { v: number }, at + BigInt(index) * 1_000_000n),
    )
    await send(lines)
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('a probe passes and writes nothing', async (stage) => {
    await stage.sink.probe(live())
    await stage.sink.probe(live())
    assert.deepEqual(await stage.read('tailnet_flow'), [])
  })

  promise('the checkpoint is what was written about the windows of one tailnet', async (stage, send) => {
    const timeNs = stage.nowNs() - 60_000_000_000n
    const range = { fromNs: timeNs, toNs: timeNs + 1_000_000n }
    const window = (tailnet: string, pass: string, acked: bigint, ns: bigint) =>
      lineOf(
        'tailflux_window',
        { pass, tailnet, writer: 'w1' },
        { watermark: acked, acked, passed: 1n, lag_ms: 1n },
        ns,
      )
    if (kind.checkpoint === 'has no questions') {
      await send([window('default', '1', 6n, timeNs)])
      const answer = await stage.sink.checkpoint('default', range, live())
      return assert.equal('isByNature' in answer && answer.isByNature, true)
    }
    assert.deepEqual(await stage.sink.checkpoint('default', range, live()), { points: [] })
    const names = ['default', "it's a, b=c", 'ü🙂', '"x"', 'pre']
    const ackedOf = (index: number) => INT64_MAX - 1_000n + BigInt(index) * 10n
    for (const [index, name] of names.entries()) {
      await send([
        window(name, '1', ackedOf(index), timeNs),
        window(name, '2', ackedOf(index) + 1n, timeNs),
        window(name, '1', 3n, timeNs - 1n),
        window(name, '1', 3n, timeNs + 1_000_001n),
      ])
      await send([window(name, '1', ackedOf(index) + 2n, timeNs)])
    }
    for (const [index, name] of names.entries()) {
      const answer = await stage.sink.checkpoint(name, range, live())
      const point = (pass: string, ackedNs: bigint) => ({
        timeNs,
        pass,
        writer: 'w1',
        ackedNs,
        watermarkNs: ackedNs,
        passedNs: 1n,
      })
      const points = [point('1', ackedOf(index) + 2n), point('2', ackedOf(index) + 1n)]
      const found =
        'points' in answer ? answer.points.toSorted((one, other) => (one.pass < other.pass ? -1 : 1)) : answer
      assert.deepEqual(found, points, name)
    }
    assert.deepEqual(await stage.sink.checkpoint('prefix', range, live()), { points: [] })
  })

  promise('the newest point of each writer shows what it carries, as it was written', async (stage, send) => {
    if (kind.checkpoint === 'has no questions') return
    const timeNs = stage.nowNs() - 60_000_000_000n
    const texts = [
      { unsettled: '', settings: 'plain' },
      ...HOSTILE.map((text) => ({ unsettled: text, settings: `[${text}]` })),
    ]
    const written = texts.map((one, index) => ({
      ...one,
      tailnet: `a b,${index}`,
      ns: timeNs + BigInt(index) * 1_000n,
    }))
    const line = (tailnet: string, writer: string, acked: bigint, some: Record<string, bigint | string>, ns: bigint) =>
      Buffer.from(encodeLine('tailflux_window', { pass: '1', tailnet, writer }, { acked, ...some }, ns))
        .toString()
        .trimEnd()
    for (const { tailnet, ns, unsettled, settings } of written)
      await send([
        line(tailnet, 'w1', 1n, { unsettled: 'older', settings: 'older' }, ns - 1n),
        line(tailnet, 'w1', 2n, { watermark: 5n, unsettled, settings }, ns),
        line(tailnet, 'w2', 1n, { watermark: 5n }, ns),
      ])
    for (const { tailnet, ns, unsettled, settings } of written) {
      const answer = await stage.sink.checkpointStates(tailnet, ns, live())
      const states = 'states' in answer ? answer.states : assert.fail(answer.cannotBeQueried)
      // Where nothing is carried, a point without texts may be missing as well.
      const own = states.filter(({ writer }) => writer === 'w1')
      const text = (one: string) => (one === '' ? undefined : printable(one))
      const carried = { unsettled: text(unsettled), settings: text(settings) }
      assert.deepEqual(own, [{ pass: '1', writer: 'w1', ...carried }], tailnet)
      assert.ok(states.every((one) => one.writer === 'w1' || (one.unsettled ?? one.settings) === undefined))
    }
    assert.deepEqual(await stage.sink.checkpointStates('a b,0', timeNs + 7n, live()), { states: [] })
  })

  promise('lines beyond the retention are counted, and the others are there', async (stage, send) => {
    if (kind.expiredAgeNs === undefined) return
    const fresh = manyLines(stage.nowNs(), 30)
    const old = manyLines(stage.nowNs() - kind.expiredAgeNs, 12)
    const mixed = [...fresh.slice(0, 10), ...old, ...fresh.slice(10)]
    assert.deepEqual(await send(mixed), { written: 30, rejected: 0, expired: 12 })
    assert.deepEqual(await send(old), { written: 0, rejected: 0, expired: 12 })
    assertSame(await stage.read('tailnet_flow'), fresh)
    assert.deepEqual(stage.letters, [])
    assert.deepEqual(stage.metrics.calls.get('rejected'), [
      [12, 'expired'],
      [12, 'expired'],
    ])
  })

  promise('an aborted signal writes nothing and is passed on', async (stage, send) => {
    const reason = new Error('stopping')
    const lines = manyLines(stage.nowNs(), 10)
    await assert.rejects(send(lines, AbortSignal.abort(reason)), reason)
    await assert.rejects(stage.sink.probe(AbortSignal.abort(reason)), reason)
    assert.deepEqual(await stage.read('tailnet_flow'), [])
    const soon = new AbortController()
    const writing = send(lines, soon.signal)
    soon.abort(reason)
    // Too late or in time: it is either whole or nothing was promised.
    await writing.catch((error) => assert.equal(error, reason))
    assert.equal((await send(lines)).written, 10)
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('stop and start again: what was there is there, and writing goes on', async (stage, send) => {
    const lines = manyLines(stage.nowNs(), 40)
    await send(lines.slice(0, 20))
    await stage.sink.stop()
    await stage.sink.stop()
    await stage.sink.start(live())
    await stage.sink.start(live())
    await send(lines.slice(20))
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('many batches at once', async (stage, send) => {
    const lines = manyLines(stage.nowNs(), 4_000)
    const parts = Array.from({ length: 8 }, (_, index) => lines.slice(index * 500, index * 500 + 500))
    const receipts = await Promise.all(parts.map((part, index) => send(part, live(), TARGETS[index % 3])))
    assert.equal(
      receipts.reduce((sum, { written }) => sum + written, 0),
      4_000,
    )
    assertSame(await stage.read('tailnet_flow'), lines)
  })

  promise('the label names the place and no secret', async (stage) => {
    assert.match(stage.sink.label, /\w/)
    assert.doesNotMatch(stage.sink.label, /very-secret/)
  })
}

function senderOf(sink: Sink) {
  return (lines: readonly string[], signal = live(), target: Target = 'main') =>
    sink
      .write({ bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')), lineCount: lines.length, target }, signal)
      .then(countsOf)
}

function lineOf(
  measurement: string,
  tags: Record<string, string>,
  fields: Record<string, bigint>,
  timestampNs: bigint,
): string {
  return Buffer.from(encodeLine(measurement, tags, fields, timestampNs))
    .toString()
    .slice(0, -1)
}

function manyLines(beforeNs: bigint, count: number): string[] {
  const startNs = (beforeNs / 1_000_000n) * 1_000_000n - 3_600_000_000_000n
  return Array.from({ length: count }, (_, index) =>
    lineOf(
      'tailnet_flow',
      { node: `n${index % 7}CNTRL`, kind: 'virtual', src: `100.64.0.${index % 11}`, node_name: `node ${index % 7}` },
      { tx_bytes: BigInt(index) * 1_000n, rx_bytes: 7n, flows: 1n },
      startNs + BigInt(index) * 5_000_000n,
    ),
  )
}

function assertSame(found: readonly ReadBack[], lines: readonly string[]): void {
  const textOf = ({ measurement, tags, fields, timestampNs }: ReadBack) =>
    [
      measurement,
      JSON.stringify(Object.entries(tags).toSorted()),
      Object.entries(fields)
        .map(([name, value]) => `${name}=${value}`)
        .toSorted()
        .join(),
      timestampNs,
    ].join(' ')
  const expected = new Set(lines.map((line) => textOf(parseLine(line))))
  assert.deepEqual(found.map(textOf).toSorted(), [...expected].toSorted())
}
