import { join } from 'node:path'
import { storeRetention } from '../../../src/sink/config.ts'
import type { SinkMetrics } from '../../../src/sink/sink.ts'
import { createEmbeddedStore, exportLines } from '../../../src/sink/sqlite/embedded-store.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { parseLine } from '../line-protocol/parse-lines.ts'
import { testSinkContract } from '../sink-contract.ts'

testSinkContract({
  name: 'embedded store',
  skip: false,
  isExact: true,
  resolutionNs: 1n,
  expiredAgeNs: 8n * 86_400_000_000_000n,
  checkpoint: 'answers',
  async stage(t) {
    const dir = temporaryFolder(t)
    const path = join(dir, 'store.db')
    const clock = createFakeClock()
    const metrics = countingMetrics<SinkMetrics>()
    return {
      sink: createEmbeddedStore({ path, retention: storeRetention({}, 0) }, { clock, log: silentLog, metrics }),
      letters: [],
      metrics,
      nowNs: () => clock.now(),
      read: async (measurement) => [...exportLines(path, { measurement })].map((line) => parseLine(line.slice(0, -1))),
    }
  },
})
