/** Commands whose output cannot be written: a reader that closes the pipe is no error, a full disk is reported. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openStoreFile } from '../../src/sink/sqlite/store-file.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url))

/** The exit code and standard error of a command in a shell, with what follows it there. */
async function runInShell(
  t: TestContext,
  args: readonly string[],
  dir: string,
  tail: string,
  before = '',
  redirect = '',
) {
  const script = `{ ${before}"$0" "$@" ${redirect}; echo "exit code $?" >&2; } ${tail}`
  const { promise, resolve } = Promise.withResolvers<string>()
  const child = execFile(
    '/bin/sh',
    ['-c', script, process.execPath, CLI, ...args],
    { env: { PATH: process.env['PATH'] ?? '', TAILFLUX_DATA_DIR: dir } },
    (_error, _stdout, stderr) => resolve(stderr),
  )
  t.after(() => child.kill('SIGKILL'))
  return await promise
}

/** More than a pipe holds. */
const MESSAGES = 2_000

async function world(t: TestContext): Promise<{ dir: string; file: string }> {
  const dir = temporaryFolder(t)
  openStoreFile(join(dir, 'store.db')).db.close()
  const file = join(dir, 'messages.ndjson')
  const lines = Array.from({ length: MESSAGES }, (_, index) =>
    JSON.stringify({
      nodeId: 'nNODE',
      logged: '2025-01-01T00:00:06Z',
      start: '2025-01-01T00:00:00Z',
      end: '2025-01-01T00:00:05Z',
      virtualTraffic: [{ proto: 6, src: `100.64.0.1:${10_000 + index}`, dst: '100.64.0.2:443', txPkts: 1, txBytes: 9 }],
    }),
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { dir, file }
}

test('a reader that is gone already is no error of any command, on standard output or both', async (t) => {
  const { dir, file } = await world(t)
  const commands = [
    ...[['--help'], ['replay', '--help'], ['--version'], ['print-config'], ['print-config', '--schema'], ['export']],
    ...[['flows'], ['flows', '--json'], ['flows', '--raw', '--from', '700d'], ['replay', '--print', file]],
    ...[['grafana', 'export'], ['check'], ['bogus'], ['status', '--json']],
  ]
  for (const args of commands) {
    for (const [redirect, both] of [
      ['', false],
      ['2>&1', true],
    ] as const) {
      const told = await runInShell(t, args, dir, '| true', `sleep 0.2; `, redirect)
      assert.doesNotMatch(told, /EPIPE|ERR_|\n {4}at |node:internal/, args.join(' '))
      assert.match(told, both ? /^exit code [012]\n$/ : /exit code [012]\n$/, args.join(' '))
    }
  }
})

test('a reader that ends early ends a command quietly', async (t) => {
  const { dir, file } = await world(t)
  for (const args of [['--help'], ['print-config', '--sample'], ['export'], ['replay', '--print', file]])
    assert.match(await runInShell(t, args, dir, '| true'), /^(.*messages.*\n)?exit code 0\n$/, args.join(' '))
})

test('a full disk is reported, and the exit code is 1', async (t) => {
  const { dir, file } = await world(t)
  for (const args of [['--help'], ['print-config', '--sample'], ['replay', '--print', file]])
    assert.match(
      await runInShell(t, args, dir, '> /dev/full'),
      /^tailflux: The output cannot be written \(ENOSPC\); free disk space, or redirect the output\.\n(.*messages.*\n)?exit code 1\n$/,
      args.join(' '),
    )
})
