/** One bad message never stops the others: the real reader, flattener, writer and dead letters, one window after the other. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MINUTE, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createSemaphore } from '../../src/base/semaphore.ts'
import { FlatPoints } from '../../src/flatten/flat-points.ts'
import type { PipelineMetrics } from '../../src/observe/metrics.ts'
import { NO_OBSERVERS } from '../../src/observers/observers.ts'
import { type DeliverWindowDeps, deliverWindow } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { BYTES_PER_NODE_HOUR, LETTERS_PER_NODE_HOUR } from '../../src/sink/dead-letter-quota.ts'
import { createDeadLetters } from '../../src/sink/dead-letters.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { timeText } from '../../tools/simulation/sim-records.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { linesOf } from '../helpers/lines.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const never = new AbortController().signal
const LIMITS = { answerBytesMax: 1 << 28, messageBytesMax: 8 << 20, depthMax: 8 }
const AWAY = new CollectorError('away', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })

function setUp(t: TestContext) {
  const dir = join(temporaryFolder(t), 'dead-letters')
  const clock = createFakeClock()
  const metrics = countingMetrics<PipelineMetrics>()
  const world = {
    dir,
    clock,
    metrics,
    /** JSON of messages, and when they were logged. */
    logs: [] as { text: string; loggedNs: bigint }[],
    lines: [] as string[],
    /** The number of batches that fail from now on. */
    failures: 0,
    ledger: createMemoryLedger(),
    deadLetters: createDeadLetters({ dir, maxBytes: 256 << 20 }, { clock, log: silentLog }),
    /** The process ends and another begins. */
    async restart() {
      await world.deadLetters.stop()
      world.deadLetters = createDeadLetters({ dir, maxBytes: 256 << 20 }, { clock, log: silentLog })
    },
    async run(fromNs: bigint, toNs: bigint, more: Partial<PlannedWindow> = {}) {
      const flattener = flattenerOf()
      const deps: DeliverWindowDeps = {
        source: {
          async open(window) {
            const found = world.logs.filter(({ loggedNs }) => loggedNs >= window.fromNs && loggedNs <= window.toNs)
            const body = Buffer.from(`{"logs":[${found.map(({ text }) => text).join()}]}`)
            const reader = createMessageReader(LIMITS)
            return {
              serverNs: NOON_NS,
              bytesRead: () => reader.bytesRead(),
              groups: (async function* groups() {
                for (let at = 0; at < body.length; at += 65_536) yield reader.push(body.subarray(at, at + 65_536))
                reader.end()
              })(),
            }
          },
        },
        sink: {
          async write({ bytes, lineCount }) {
            if (world.failures > 0) {
              world.failures -= 1
              throw AWAY
            }
            world.lines.push(...linesOf(bytes))
            return { written: lineCount, rejected: 0, expired: 0, sentMs: 0 }
          },
        },
        ledger: world.ledger,
        deadLetters: world.deadLetters,
        semaphore: createSemaphore(2),
        observers: NO_OBSERVERS,
        metrics,
        clock,
        log: silentLog,
        lagNs: MINUTE,
        safeNowNs: (serverNs) => serverNs ?? clock.now(),
        passAt: () => 1,
        recovery: { nextAckNs: () => clock.now(), wasAwaySince: () => false, mayInterrupt: () => true },
        heldBytesMax: 1 << 20,
      }
      const lines = createLineWriter({ batchLinesMax: 5_000, batchBytesMax: 1 << 20 })
      const window: PlannedWindow = { fromNs, toNs, queue: 'backlog', pass: 1, ...more }
      return deliverWindow(window, { flattener, lines }, deps, never)
    },
    letters: () => lettersIn(dir),
    /** What the metric has counted, by reason. */
    counted() {
      const sums: Record<string, number> = {}
      for (const [reason, count] of metrics.calls.get('quarantined') ?? [])
        sums[String(reason)] = (sums[String(reason)] ?? 0) + Number(count)
      return sums
    },
  }
  world.ledger.setOrigin(FROM)
  t.after(() => world.deadLetters.stop())
  return world
}

const FROM = NOON_NS - 120n * MINUTE

function lettersIn(dir: string) {
  const lines = readdirSync(dir).flatMap((name) => linesOf(readFileSync(join(dir, name), 'utf8')))
  const all = lines.map(
    (line) => JSON.parse(line) as Record<string, string> & { count?: number; more?: number; bytes?: number },
  )
  return {
    all,
    kept: all.filter(({ more }) => more === undefined),
    /** Messages and entries that they stand for. */
    stoodFor: all.reduce((sum, { more, count }) => sum + (more ?? count ?? 1), 0),
    bytes: lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0),
  }
}

function message(nodeId: string, loggedNs: bigint, more = ''): { text: string; loggedNs: bigint } {
  const start = timeText(loggedNs - 6n * SECOND)
  const traffic = '"virtualTraffic":[{"proto":6,"src":"100.64.0.1:5000","dst":"100.64.0.2:443","txBytes":7}]'
  const text = `{"nodeId":"${nodeId}","logged":"${timeText(loggedNs)}","start":"${start}",${traffic}${more}}`
  return { text, loggedNs }
}

test('a message on which our own code throws is set aside alone, with its bytes, and the line goes on', async (t) => {
  const { add, firstImbalance } = FlatPoints.prototype
  t.mock.method(FlatPoints.prototype, 'add', function of(this: FlatPoints, ...tags: Parameters<typeof add>) {
    if (this.node === 'nThrowsCNTRL') throw new TypeError('a bug of ours')
    return add.apply(this, tags)
  })
  t.mock.method(FlatPoints.prototype, 'firstImbalance', function of(this: FlatPoints) {
    return this.node === 'nUnevenCNTRL' ? 'virtual' : firstImbalance.call(this)
  })
  const world = setUp(t)
  t.mock.getter(FlatPoints.prototype, 'textsView', function of(this: FlatPoints) {
    if (this.node === 'nOddLineCNTRL') throw new RangeError('a bug of the writer')
    return this.table.view
  })
  const nodes = ['n1CNTRL', 'nThrowsCNTRL', 'n2CNTRL', 'nUnevenCNTRL', 'n3CNTRL', 'nOddLineCNTRL', 'n4CNTRL']
  world.logs = nodes.map((node, index) => message(node, FROM + BigInt(index) * SECOND))
  const result = await world.run(FROM, FROM + MINUTE)
  assert.deepEqual([result.doneToNs, result.messages, result.quarantined], [FROM + MINUTE, 4, 3])
  const stored = [...new Set(world.lines.map((line) => /node=(\w+)/.exec(line)?.[1]))]
  assert.deepEqual(stored, ['n1CNTRL', 'n2CNTRL', 'n3CNTRL', 'n4CNTRL'])
  assert.equal(world.lines.length, 4)
  const { kept } = world.letters()
  assert.deepEqual(
    kept.map(({ stage, reason, node, text }) => [stage, reason, node, text]),
    [
      ['flatten', 'flatten_failed', 'nThrowsCNTRL', world.logs[1]?.text],
      ['flatten', 'imbalance', 'nUnevenCNTRL', world.logs[3]?.text],
      ['flatten', 'encode_failed', 'nOddLineCNTRL', world.logs[5]?.text],
    ],
  )
  assert.match(kept[0]?.['detail'] ?? '', /TypeError: a bug of ours +at .*flatten/)
  assert.deepEqual(world.counted(), { flatten_failed: 1, imbalance: 1, encode_failed: 1 })
  const trouble = world.deadLetters.problem()
  assert.match(trouble?.text ?? '', /failed on 3 messages.*report it.*backfill --again/)
  // Read again, late or not: nothing twice.
  await world.run(FROM, FROM + MINUTE)
  const previous = world.ledger.recent(1)[0]
  assert.ok(previous)
  const late = await world.run(FROM, FROM + MINUTE, { queue: 'late', pass: 2, previous })
  assert.equal(late.changed, false)
  assert.equal(world.letters().all.length, 3)
})

test('a message that lacks the key of its masks is counted, nothing of its addresses is kept, and it is no bug of ours', async (t) => {
  const world = setUp(t)
  const missing = new CollectorError('set privacy.formerKey', {
    stage: 'flatten',
    code: 'privacy_key_missing',
    reaction: 'hold',
  })
  const { add } = FlatPoints.prototype
  t.mock.method(FlatPoints.prototype, 'add', function of(this: FlatPoints, ...tags: Parameters<typeof add>) {
    if (this.node === 'nOldCNTRL') throw missing
    return add.apply(this, tags)
  })
  world.logs = [message('nOldCNTRL', FROM), message('n1CNTRL', FROM + SECOND), message('nOldCNTRL', FROM + 2n * SECOND)]
  const result = await world.run(FROM, FROM + MINUTE)
  assert.deepEqual([result.messages, result.quarantined, world.lines.length], [1, 2, 1])
  const { kept } = world.letters()
  assert.deepEqual(
    kept.map(({ reason, detail, text = '' }) => [reason, detail, JSON.parse(text)]),
    [FROM, FROM + 2n * SECOND].map((loggedNs) => [
      'privacy_key_missing',
      'set privacy.formerKey',
      { nodeId: 'nOldCNTRL', startNs: String(loggedNs - 6n * SECOND) },
    ]),
  )
  assert.deepEqual(world.counted(), { privacy_key_missing: 2 })
  assert.equal(world.deadLetters.problem(), undefined)
})

test('trouble of the state file while points are made is no fault of the message', async (t) => {
  const failing = new CollectorError('disk', { stage: 'ledger', code: 'state_failed', reaction: 'hold' })
  t.mock.method(FlatPoints.prototype, 'firstImbalance', () => {
    throw failing
  })
  const world = setUp(t)
  world.logs = [message('n1CNTRL', FROM)]
  await assert.rejects(world.run(FROM, FROM + MINUTE), (error) => error === failing)
  assert.deepEqual(world.ledger.settled(), [])
})

test('40,000 bad entries of one message, in five attempts that fail and a sixth, are one letter and counted once', async (t) => {
  const world = setUp(t)
  const bad = Array.from({ length: 40_000 }, (_, index) => `{"src":"100.64.0.1:${index}","txBytes":-${index + 1}}`)
  world.logs = [message('n1CNTRL', FROM), message('nBadCNTRL', FROM + SECOND, `,"exitTraffic":[${bad}]`)]
  world.failures = 5
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await assert.rejects(world.run(FROM, FROM + MINUTE), (error) => error === AWAY)
    if (attempt === 2) await world.restart()
  }
  const result = await world.run(FROM, FROM + MINUTE)
  assert.deepEqual([result.messages, result.entries, result.quarantined, result.written], [2, 2, 40_000, 2])
  const { all, stoodFor, bytes } = world.letters()
  assert.deepEqual([all.length, stoodFor], [1, 40_000])
  assert.deepEqual([all[0]?.['reason'], all[0]?.['node'], all[0]?.count], ['bad_counter', 'nBadCNTRL', 40_000])
  assert.equal(all[0]?.bytes, `[${bad}]`.length)
  assert.ok(bytes < 100_000)
  assert.deepEqual(world.counted(), { bad_counter: 40_000 })
  t.diagnostic(`${all.length} letter of ${bytes} bytes stands for ${stoodFor} entries`)
})

test('an hour in which every message of one node is unreadable: its letters and bytes are bounded, the count is exact, others go on', async (t) => {
  const world = setUp(t)
  const filler = 'x'.repeat(3_000)
  for (let index = 0; index < 720; index += 1) {
    const loggedNs = FROM + BigInt(index) * 5n * SECOND
    world.logs.push(message('nGoodCNTRL', loggedNs))
    world.logs.push({
      text: `{"dstNodes":[{"nodeId":"nVictimCNTRL"}],"nodeId":"nBadCNTRL","logged":"${timeText(loggedNs)}","x":nope,"y":"${filler}"}`,
      loggedNs,
    })
  }
  for (let minute = 0n; minute < 60n; minute += 1n) {
    const window = [FROM + minute * MINUTE, FROM + (minute + 1n) * MINUTE] as const
    if (minute % 7n === 3n) {
      world.failures = 1
      await assert.rejects(world.run(...window))
    }
    // The process ends after the letters are written and before the window is done: all of it is read again.
    if (minute === 20n || minute === 40n) {
      world.failures = 1
      await assert.rejects(world.run(...window))
      await world.restart()
    }
    await world.run(...window)
  }
  const { kept, stoodFor, bytes, all } = world.letters()
  assert.equal(stoodFor, 720)
  assert.ok(kept.length > 300 && kept.length < LETTERS_PER_NODE_HOUR && bytes < BYTES_PER_NODE_HOUR + 20_000)
  assert.deepEqual([...new Set(all.map(({ node, reason }) => `${node} ${reason}`))], ['nBadCNTRL bad_json'])
  assert.deepEqual(world.counted(), { bad_json: 720 })
  assert.equal(new Set(world.lines).size, 720)
  assert.equal(world.ledger.watermarkNs(), FROM + 60n * MINUTE)
  t.diagnostic(`${kept.length} letters kept, ${stoodFor - kept.length} counted, ${bytes} bytes`)
})

test('entries whose sums leave int64 are set aside with their node, and what fits is written', async (t) => {
  const world = setUp(t)
  const entry = (port: number) =>
    `{"proto":6,"src":"1.1.1.1:${port}","dst":"2.2.2.2:443","txBytes":${(1n << 62n) + 5n}}`
  world.logs = [message('n1CNTRL', FROM, `,"exitTraffic":[${entry(1)},${entry(2)},${entry(3)}]`)]
  const result = await world.run(FROM, FROM + MINUTE)
  assert.equal(result.quarantined, 2)
  const { kept, stoodFor } = world.letters()
  assert.deepEqual(
    [kept[0]?.['stage'], kept[0]?.['reason'], kept[0]?.['node'], stoodFor],
    ['flatten', 'bad_counter', 'n1CNTRL', 2],
  )
  assert.ok(world.lines.some((line) => line.includes(`tx_bytes=${(1n << 62n) + 5n}i`)))
})
