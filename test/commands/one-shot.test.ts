/** The errors of commands promise nothing that only a service does. */
import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileError, withoutPromises } from '../../src/commands/one-shot.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

/** Texts as the components make them, and what is left of them. */
const TEXTS: readonly (readonly [told: string, left: string])[] = [
  [
    'InfluxDB at http://x cannot be reached (ECONNREFUSED). Check INFLUX_URL; it is tried again by itself.',
    'InfluxDB at http://x cannot be reached (ECONNREFUSED). Check INFLUX_URL.',
  ],
  [
    'InfluxDB did not answer within 30 s; it is tried again by itself. Check its load, or raise influx.timeout.',
    'InfluxDB did not answer within 30 s. Check its load, or raise influx.timeout.',
  ],
  [
    'InfluxDB has no disk space left. Free space on its disk. Polling then resumes automatically.',
    'InfluxDB has no disk space left. Free space on its disk.',
  ],
  [
    'InfluxDB is overloaded. The request is retried automatically. If this continues, check its load.',
    'InfluxDB is overloaded. If this continues, check its load.',
  ],
  [
    'The embedded store /d/store.db is busy (locked); the write is retried. Stop the other process that writes to it.',
    'The embedded store /d/store.db is busy (locked). Stop the other process that writes to it.',
  ],
  [
    'The dead letters in /d cannot be written (ENOSPC). Free space or correct the permissions; polling then resumes automatically.',
    'The dead letters in /d cannot be written (ENOSPC). Free space or correct the permissions.',
  ],
  [
    'InfluxDB refuses a batch as too large. Smaller ones follow automatically; if every one is refused, raise the limit of the proxy or database.',
    'InfluxDB refuses a batch as too large. If every one is refused, raise the limit of the proxy or database.',
  ],
  ['The settings have 1 error:\n  - ports: all', 'The settings have 1 error:\n  - ports: all'],
]

test('what is left of an error is a sentence with the fix, without the promise', () => {
  for (const [told, left] of TEXTS) assert.equal(withoutPromises(told), left)
})

test('a file that cannot be used is a sentence with its code; other errors are not', async (t) => {
  const dir = temporaryFolder(t)
  const errors = await Promise.all(
    [join(dir, 'no', 'where'), dir].map((path) =>
      open(path, 'wx').then(
        () => assert.fail(),
        (error: unknown) => fileError(error)?.message,
      ),
    ),
  )
  assert.match(errors[0] ?? '', /where cannot be created or read.* \(ENOENT\); check the path\.$/)
  assert.match(errors[1] ?? '', / exists already \(EEXIST\); remove it, or choose another name/)
  assert.equal(fileError(new TypeError('a bug')), undefined)
})
