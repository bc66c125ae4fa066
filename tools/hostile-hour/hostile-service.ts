/** The service in a process of its own, by a simulated clock: `node hostile-service.ts '<JSON of ServicePlan>'`. Reports its address by a message
 * to its parent; its log goes to standard output. */
import { loadSettings } from '../../src/config/load.ts'
import { createService } from '../../src/main.ts'
import { createLog } from '../../src/observe/log.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { createSharedClock } from './hostile-clock.ts'

export interface ServicePlan {
  readonly startNs: string
  readonly beganMs: number
  readonly speed: number
  readonly pollMs: number
  readonly settings: Readonly<Record<string, unknown>>
}

const plan = JSON.parse(process.argv[2] ?? '') as ServicePlan
const clock = createSharedClock({ ...plan, startNs: BigInt(plan.startNs) })
const loaded = loadSettings({ env: {}, changes: plan.settings })
const secrets = createSecretRegistry(loaded.secrets)
const log = createLog({ level: 'info', secrets })
const service = createService(loaded.settings, {
  log,
  secrets,
  clock,
  onBroken(error) {
    log.fatal({ err: error }, 'programmer error, the process ends')
    process.exit(70)
  },
})
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
// Whoever watches is gone.
process.once('disconnect', () => process.exit())
process.send?.({ url: await service.start() })
// The schedule runs by real time, which is far too slow here.
while (!stopping.signal.aborted) {
  await service.pipeline.tick()
  await clock.sleep(plan.pollMs, stopping.signal).catch(() => undefined)
}
await service.stop()
process.disconnect?.()
