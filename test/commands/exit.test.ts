import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

/** `uv` joins its threads at the end, and a look-up in one of them cannot be broken off: here `process.exit` stands for that, and never ends. */
const script = (code: string) => `
  import { endProcess } from ${JSON.stringify(join(import.meta.dirname, '../../src/commands/exit.ts'))}
  process.getActiveResourcesInfo = () => ['GetAddrInfoReqWrap']
  process.exit = () => { for (;;); }
  process.on('exit', (code) => process.stdout.write('last lines, code ' + code))
  endProcess(${code})`

test('a name look-up that hangs does not hold up the end: the exit code stays, and the last lines of the log are written', () => {
  for (const [code, expected] of [
    ['undefined', 0],
    ['0', 0],
    ['1', 1],
    ['143', 143],
  ] as const) {
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script(code)], { timeout: 20_000 })
    assert.equal(child.status, expected, String(child.stderr))
    assert.equal(String(child.stdout), `last lines, code ${expected}`)
  }
})
