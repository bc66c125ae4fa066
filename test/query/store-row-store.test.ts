/** The row store on the embedded store, beside the service that writes it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createStoreRowStore } from '../../src/query/store-row-store.ts'
import { fieldsOf, tagsOf } from '../../src/query/stored-fields.ts'
import type { SinkMetrics } from '../../src/sink/sink.ts'
import { createEmbeddedStore } from '../../src/sink/sqlite/embedded-store.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { DAY_NS, rowStoreContract, TAILNET, type World } from './row-store-contract.ts'

const MONTH_MS = 31 * 86_400_000
const signal = AbortSignal.timeout(600_000)

async function createWorld(t: TestContext): Promise<World> {
  const path = join(temporaryFolder(t), 'store.db')
  const clock = createFakeClock(DAY_NS)
  const sink = createEmbeddedStore(
    { path, retention: { raw: MONTH_MS, minutes: MONTH_MS, main: MONTH_MS } },
    { clock, log: silentLog, metrics: countingMetrics<SinkMetrics>() },
  )
  await sink.start(signal)
  t.after(() => sink.stop())
  return {
    store: createStoreRowStore({ path, tailnet: TAILNET }),
    async write(lines) {
      const lineCount = lines.split('\n').length - 1
      await sink.write({ bytes: Buffer.from(lines), lineCount, target: 'main' }, signal)
    },
  }
}

rowStoreContract('embedded store', createWorld)

test('a service that is new has no file yet, which holds nothing of earlier work', async (t) => {
  const store = createStoreRowStore({ path: join(temporaryFolder(t), 'none.db'), tailnet: TAILNET })
  const range = [DAY_NS, 2n * DAY_NS, signal] as const
  assert.deepEqual(
    [await store.devices(...range), await store.newestDevices(DAY_NS, signal), await store.minutes(...range)],
    [[], [], []],
  )
  assert.equal((await store.reporting(...range)).size, 0)
})

test('without a file the error names the setting', async (t) => {
  const store = createStoreRowStore({ path: join(temporaryFolder(t), 'none.db'), tailnet: TAILNET })
  await assert.rejects(
    store.rawPoints(DAY_NS, () => undefined, signal),
    /There is no embedded store at .*; check TAILFLUX_DATA_DIR\.$/,
  )
})

test('fields and tags of a line', () => {
  assert.deepEqual(
    [...fieldsOf('a=-1i,b="x,y=\\"z\\" \\\\",c=true,d=1.5,e="",f=9223372036854775807i')],
    [
      ['a', -1n],
      ['b', 'x,y="z" \\'],
      ['c', true],
      ['d', 1.5],
      ['e', ''],
      ['f', 9223372036854775807n],
    ],
  )
  assert.deepEqual(
    [...tagsOf('m,a=b\\,c\\=d,e=f\\ g')],
    [
      ['a', 'b,c=d'],
      ['e', 'f g'],
    ],
  )
})
