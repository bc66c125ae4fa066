/** The dead-letter file: what `append` has resolved is on the disk, readable, and in order, whatever happened before. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { BYTES_PER_NODE_HOUR, LETTER_BYTES_MAX, LETTERS_PER_NODE_HOUR } from '../../src/sink/dead-letter-quota.ts'
import { createDeadLetters } from '../../src/sink/dead-letters.ts'
import type { DeadLetter } from '../../src/sink/sink.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { linesOf } from '../helpers/lines.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { ensure, missing } from '../services/servers.ts'
import { faultOf } from './influxdb/influx-world.ts'

const MIB = 1 << 20

function folder(t: TestContext): string {
  const dir = temporaryFolder(t)
  return join(dir, 'dead-letters')
}
function openIn(t: TestContext, dir: string, maxBytes = 256 * MIB) {
  const letters = createDeadLetters({ dir, maxBytes }, { clock: createFakeClock(), log: silentLog })
  t.after(() => letters.stop())
  return letters
}
const letter = (text: string, more: Partial<DeadLetter> = {}): DeadLetter => ({
  stage: 'sink',
  reason: 'rejected',
  text,
  ...more,
})
const linesIn = (dir: string) =>
  readdirSync(dir)
    .toSorted()
    .flatMap((name) => linesOf(readFileSync(join(dir, name))))
const textsIn = (dir: string) => linesIn(dir).map((line) => (JSON.parse(line) as { text: string }).text)

test('each letter is one line of JSON with its time, for the owner only', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir)
  const text = 'm,a=ü\\ "🙂" v=1i 1\n\u0000 second line'
  await letters.append([
    letter(text, { detail: `why\n${'x'.repeat(1_000)}` }),
    letter('{"nodeId":', { stage: 'source', reason: 'bad_json' }),
  ])
  const [first, second] = linesIn(dir).map((line) => JSON.parse(line) as Record<string, string>)
  assert.deepEqual(Object.keys(first ?? {}), ['at', 'stage', 'reason', 'detail', 'text'])
  assert.equal(first?.['at'], '2026-11-02T12:00:00.000Z')
  assert.equal(first?.['text'], text)
  assert.match(first?.['detail'] ?? '', /^why x+\.\.\.$/)
  assert.equal(first?.['detail']?.length, 512)
  assert.deepEqual(second, { at: first?.['at'], stage: 'source', reason: 'bad_json', text: '{"nodeId":' })
  assert.equal(statSync(join(dir, 'dead-letters-000001.jsonl')).mode & 0o777, 0o600)
  assert.equal(statSync(dir).mode & 0o777, 0o700)
})

test('nothing to append makes nothing', async (t) => {
  const dir = folder(t)
  await openIn(t, dir).append([])
  assert.equal(existsSync(dir), false)
})

test('appends at the same time keep their order', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir)
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => letters.append([letter(`${index}a`), letter(`${index}b`)])),
  )
  assert.deepEqual(textsIn(dir), Array.from({ length: 50 }, (_, index) => [`${index}a`, `${index}b`]).flat())
})

test('a line that was torn by a crash stays behind, and what follows is readable', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'dead-letters-000001.jsonl')
  await openIn(t, dir).append([letter('first')])
  for (const torn of ['{"at":"2026', '\u00c3']) {
    appendFileSync(file, torn, 'latin1')
    await openIn(t, dir).append([letter(`after ${torn}`)])
  }
  const readable = linesIn(dir).filter((line) => line.endsWith('"}'))
  assert.deepEqual(
    readable.map((line) => JSON.parse(line).text),
    ['first', 'after {"at":"2026', 'after \u00c3'],
  )
  assert.equal(linesIn(dir).length, 5)
})

test('files are rotated at 16 MiB, and a new start goes on in the last one', async (t) => {
  const dir = folder(t)
  const big = 'x'.repeat(MIB / 2 - 100)
  const letters = openIn(t, dir)
  // Each of another node, whose quota is not used up.
  for (let index = 0; index < 34; index += 1) await letters.append([letter(`${index} ${big}`, { node: `n${index}` })])
  await letters.stop()
  await openIn(t, dir).append([letter('34')])
  assert.deepEqual(readdirSync(dir).toSorted(), ['dead-letters-000001.jsonl', 'dead-letters-000002.jsonl'])
  assert.deepEqual(
    textsIn(dir).map((text) => text.split(' ')[0]),
    Array.from({ length: 35 }, (_, index) => String(index)),
  )
  assert.match(linesIn(dir).at(-1) ?? '', /"34"/)
})

/** What the lines of the folder say: letters that are kept, and how many things all of them stand for. */
function sumsIn(dir: string) {
  const lines = linesIn(dir).map((line) => JSON.parse(line) as Record<string, string & number>)
  const kept = lines.filter(({ more }) => more === undefined)
  return {
    kept: kept.length,
    all: lines.reduce((sum, { more, count }) => sum + (more ?? count ?? 1), 0),
    bytes: linesIn(dir).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0),
    more: lines.filter(({ more }) => more !== undefined),
  }
}
const HOUR_NS = 3_600_000_000_000n
const numbered = (count: number, more: Partial<DeadLetter> = {}, size = 100) =>
  Array.from({ length: count }, (_, index) =>
    letter(`${index} ${'x'.repeat(size)}`, {
      stage: 'source',
      reason: 'bad_json',
      node: 'n1',
      loggedNs: NOON_NS,
      ...more,
    }),
  )

test('beyond the quota of a node and hour letters are counted exactly, and other nodes and hours have theirs', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir)
  const all = numbered(LETTERS_PER_NODE_HOUR + 300)
  for (let at = 0; at < all.length; at += 50) assert.equal((await letters.append(all.slice(at, at + 50))).length, 50)
  await letters.append(numbered(10, { node: 'n2' }).map((one) => ({ ...one, text: `two ${one.text}` })))
  await letters.append(
    numbered(10, { loggedNs: NOON_NS + HOUR_NS }).map((one) => ({ ...one, text: `later ${one.text}` })),
  )
  const { kept, all: sum, more } = sumsIn(dir)
  assert.deepEqual([kept, sum], [LETTERS_PER_NODE_HOUR + 20, LETTERS_PER_NODE_HOUR + 320])
  assert.deepEqual(
    [...new Set(more.map(({ node, hour, stage, reason }) => [node, hour, stage, reason].join()))],
    ['n1,2026-11-02T12:00:00.000Z,source,bad_json'],
  )
  assert.match(String(more[0]?.detail), /used up its 1000 letters or 1 MB/)
  assert.equal(letters.problem(), undefined, 'that is no trouble of the service')
  const large = openIn(t, `${dir}-large`)
  await large.append(numbered(12, {}, 200_000))
  const sums = sumsIn(`${dir}-large`)
  assert.deepEqual([sums.kept, sums.all], [5, 12])
  assert.ok(sums.bytes < BYTES_PER_NODE_HOUR + 1_000)
  rmSync(`${dir}-large`, { recursive: true })
})

test('a letter that was there before, kept or counted, leaves no second one, after a restart either', async (t) => {
  const dir = folder(t)
  const all = [...numbered(LETTERS_PER_NODE_HOUR + 40), letter('m,node=n\\ 1,kind=virtual tx_bytes=1i 1')]
  for (let life = 0; life < 3; life += 1) {
    const letters = openIn(t, dir)
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const fresh = await letters.append(all)
      assert.equal(fresh.length, life + attempt === 0 ? all.length : 0, `life ${life}, attempt ${attempt}`)
    }
    await letters.stop()
  }
  const { kept, all: sum } = sumsIn(dir)
  assert.deepEqual([kept, sum], [LETTERS_PER_NODE_HOUR + 1, all.length])
  // The quota of the hour is still used up.
  await openIn(t, dir).append([letter('one more', { node: 'n1', loggedNs: NOON_NS })])
  assert.deepEqual([sumsIn(dir).kept, sumsIn(dir).all], [LETTERS_PER_NODE_HOUR + 1, all.length + 1])
  assert.equal(JSON.parse(linesIn(dir).find((line) => line.includes('kind=virtual')) ?? '').node, 'n\\ 1')
})

test('a long letter is cut and tells its length; a letter stands for as many entries as it says', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir)
  const long = 'ü'.repeat(LETTER_BYTES_MAX)
  for (let times = 0; times < 2; times += 1) {
    await letters.append([letter(long), letter('[{},{}]', { count: 40_000, bytes: 90_000, id: '0123456789abcdef' })])
    await letters.append([letter('cut elsewhere, the same entries', { id: '0123456789abcdef' })])
  }
  const [first, second, ...others] = linesIn(dir).map((line) => JSON.parse(line))
  assert.equal(first.bytes, 2 * LETTER_BYTES_MAX)
  assert.equal(Buffer.byteLength(first.text), LETTER_BYTES_MAX)
  assert.deepEqual([second.count, second.bytes, second.text], [40_000, 90_000, '[{},{}]'])
  assert.deepEqual(others, [])
  const again = openIn(t, dir)
  assert.deepEqual(await again.append([letter(long)]), [])
})

test('when all is used up, what fits is kept, the rest is counted, the line goes on, and files that are moved away make room', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir, MIB)
  const some = (count: number, name: string) =>
    numbered(count, {}, 100_000).map((one, index) => ({ ...one, text: `${name} ${one.text}`, node: `${name}${index}` }))
  // One append that is larger than the limit.
  const fresh = await letters.append(some(12, 'a'))
  assert.equal(fresh.length, 12)
  assert.deepEqual([sumsIn(dir).kept, sumsIn(dir).all], [9, 12])
  assert.deepEqual(letters.problem()?.code, 'dead_letters_full')
  assert.match(letters.problem()?.text ?? '', /move the files away, or raise deadLetters\.maxBytes$/)
  for (let times = 0; times < 20; times += 1) await letters.append(some(5, `b${times}-`))
  assert.deepEqual([sumsIn(dir).kept, sumsIn(dir).all], [9, 112])
  assert.ok(sumsIn(dir).bytes <= MIB)
  // Counting stops only when its own reserve is used up; the line never does.
  for (let times = 0; times < 20; times += 1) await letters.append(some(50, `c${times}-`))
  assert.ok(sumsIn(dir).bytes <= MIB)
  assert.equal(letters.problem()?.code, 'dead_letters_full')
  rmSync(join(dir, 'dead-letters-000001.jsonl'))
  assert.equal(letters.problem(), undefined)
  await letters.append(some(1, 'd'))
  assert.equal(sumsIn(dir).kept, 1)
})

test('a message on which tailflux failed is told for an hour', async (t) => {
  const clock = createFakeClock()
  const letters = createDeadLetters({ dir: folder(t), maxBytes: MIB }, { clock, log: silentLog })
  t.after(() => letters.stop())
  const ours = (text: string) => letter(text, { stage: 'flatten', reason: 'imbalance', node: 'n7', isOurFault: true })
  for (let times = 0; times < 3; times += 1) await letters.append([ours('a'), ours('b')])
  const { code, text } = letters.problem() ?? {}
  assert.equal(code, 'imbalance')
  assert.match(text ?? '', /failed on 2 messages .*n7.*backfill --again$/)
  await clock.advance(3_600_001)
  assert.equal(letters.problem(), undefined)
})

test('a folder that cannot be written is told, and mending it is enough', async (t) => {
  const dir = folder(t)
  writeFileSync(dir, 'a file is in the way')
  const letters = openIn(t, dir)
  const error = await faultOf(letters.append([letter('one')]))
  assert.deepEqual([error.code, error.reaction], ['dead_letters_failed', 'hold'])
  assert.match(error.message, /EEXIST|ENOTDIR/)
  rmSync(dir)
  await letters.append([letter('two')])
  assert.deepEqual(textsIn(dir), ['two'])
})

test('a full disk is told, and freeing it is enough', {
  skip: !existsSync('/dev/full') && 'needs /dev/full',
}, async (t) => {
  const dir = folder(t)
  mkdirSync(dir)
  const file = join(dir, 'dead-letters-000001.jsonl')
  symlinkSync('/dev/full', file)
  const letters = openIn(t, dir)
  const error = await faultOf(letters.append([letter('one')]))
  assert.deepEqual([error.code, error.reaction], ['dead_letters_failed', 'hold'])
  assert.match(error.message, /ENOSPC/)
  rmSync(file)
  await letters.append([letter('two')])
  assert.deepEqual(textsIn(dir), ['two'])
})

test('the promise resolves only after the disk has it', { skip: await missing('strace') }, async (t) => {
  const dir = folder(t)
  const log = `${dir}.trace`
  const program = `
    import { createDeadLetters } from ${JSON.stringify(new URL('../../src/sink/dead-letters.ts', import.meta.url).href)}
    const clock = { now: () => 0n, monotonicMs: () => 0, sleep: async () => undefined }
    const letters = createDeadLetters({ dir: ${JSON.stringify(dir)}, maxBytes: 1e6 }, { clock, log: undefined })
    await letters.append([{ stage: 'sink', reason: 'rejected', text: 'MARK-OF-THE-LETTER' }])
    process.stdout.write('MARK-OF-THE-PROMISE')
    await letters.stop()
  `
  const { path } = await ensure('strace')
  const calls = 'trace=write,pwrite64,fsync,fdatasync'
  await promisify(execFile)(path, [
    '-f',
    '-s',
    '300',
    '-e',
    calls,
    '-o',
    log,
    process.execPath,
    '--input-type=module',
    '-e',
    program,
  ])
  const steps = readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) => /(MARK-OF-THE-\w+)|(fsync|fdatasync)\(/.exec(line)?.slice(1).filter(Boolean) ?? [])
  // The folder above and the folder first, so that the names of folder and file are durable too.
  assert.deepEqual(steps, ['fsync', 'fsync', 'MARK-OF-THE-LETTER', 'fdatasync', 'MARK-OF-THE-PROMISE'])
})
