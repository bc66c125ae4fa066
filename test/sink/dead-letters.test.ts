/** The dead-letter file: what `append` has resolved is on the disk, readable, and in order, whatever happened before. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { createDeadLetters } from '../../src/sink/dead-letters.ts'
import type { DeadLetter } from '../../src/sink/sink.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { ensure, missing } from '../services/servers.ts'
import { faultOf } from './influx-world.ts'

const MIB = 1 << 20

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tailflux-letters-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
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
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
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
  assert.equal(statSync(join(dir, 'dead-letters-000001.jsonl')).mode & 0o077, 0)
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
  const big = 'x'.repeat(MIB)
  const letters = openIn(t, dir)
  for (let index = 0; index < 17; index += 1) await letters.append([letter(`${index} ${big}`)])
  await letters.stop()
  await openIn(t, dir).append([letter('17')])
  assert.deepEqual(readdirSync(dir).toSorted(), ['dead-letters-000001.jsonl', 'dead-letters-000002.jsonl'])
  assert.deepEqual(
    textsIn(dir).map((text) => text.split(' ')[0]),
    Array.from({ length: 18 }, (_, index) => String(index)),
  )
  assert.match(linesIn(dir).at(-1) ?? '', /"17"/)
})

test('when all is used up a person decides: nothing is thrown away, and files that are moved away make room', async (t) => {
  const dir = folder(t)
  const letters = openIn(t, dir, MIB)
  const half = 'x'.repeat(400_000)
  await letters.append([letter(half)])
  await letters.append([letter(half)])
  for (let times = 0; times < 2; times += 1) {
    const error = await faultOf(letters.append([letter(half)]))
    assert.deepEqual([error.code, error.reaction], ['dead_letters_full', 'hold'])
    assert.match(error.message, /deadLetters\.maxBytes/)
  }
  await letters.append([letter('a small one still fits')])
  assert.equal(linesIn(dir).length, 3)
  rmSync(join(dir, 'dead-letters-000001.jsonl'))
  await letters.append([letter(half)])
  assert.deepEqual(textsIn(dir), [half])
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
  // The folder first, so that the name of the file is durable too.
  assert.deepEqual(steps, ['fsync', 'MARK-OF-THE-LETTER', 'fdatasync', 'MARK-OF-THE-PROMISE'])
})
