/** A soak: the service runs for long at speed, with faults, and what it holds is measured: heap, handles, sockets, and the size of its files.
 *
 *   npm run soak [-- --minutes 20 --seed 1]
 *
 * Ends with exit code 1 when the second half needs more than the first. The API's clock runs 60 times as fast as ours. */
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readOptions } from '../options.ts'
import { CANARY, LAG_NS, SECOND_NS, startChaosWorld } from './chaos-world.ts'

const values = readOptions('npm run soak', {
  minutes: { type: 'string', default: '20' },
  seed: { type: 'string', default: '1' },
})
const minutes = Number(values.minutes)
const SPEED = 60
const SAMPLE_MS = Math.min(30_000, (minutes * 60_000) / 24)

interface Sample {
  readonly heapMiB: number
  readonly rssMiB: number
  readonly descriptors: number
  readonly apiSockets: number
  readonly dbSockets: number
  readonly stateKiB: number
  readonly points: number
}

const stops: (() => Promise<void>)[] = []
try {
  const endNs = (BigInt(Date.now()) / 1000n - 86_400n) * SECOND_NS
  const startNs = endNs - BigInt(Math.ceil(minutes * 60 * SPEED)) * SECOND_NS
  const world = await startChaosWorld(
    { after: (stop) => void stops.push(stop) },
    { seed: Number(values.seed), nodes: 12, activity: 0.5, epochNs: startNs - 1_800n * SECOND_NS, lateUntilNs: endNs },
  )
  world.apiClock.set(startNs, SPEED)
  const run = await world.start()
  let isOver = false
  let faults = 0
  const faulting = (async () => {
    const toxics = ['lose-answer', 'refuse', 'half-body'] as const
    while (!isOver) {
      await sleep(4_000)
      const kind = toxics[faults % toxics.length] ?? 'refuse'
      faults += 1
      const proxy = faults % 2 === 0 ? world.apiProxy : world.dbProxy
      await proxy.set({ kind })
      await sleep(700)
      await proxy.set(undefined)
    }
  })()

  const samples: Sample[] = []
  const beganMs = performance.now()
  while (performance.now() - beganMs < minutes * 60_000) {
    await sleep(SAMPLE_MS)
    assert.equal(run.process.exitCode, null, `it ended: ${run.output().slice(-2000)}`)
    const sample = await measure()
    if (sample === undefined) continue
    samples.push(sample)
    console.log(`${Math.round((performance.now() - beganMs) / 1000)} s  ${JSON.stringify(sample)}`)
  }
  isOver = true
  await faulting
  const status = await world.status(run)
  const lagSeconds = Number((world.apiClock.now() - LAG_NS - BigInt(String(status?.['watermarkNs'] ?? 0))) / SECOND_NS)
  assert.ok(!run.output().includes(CANARY), 'the API key was printed')

  async function measure(): Promise<Sample | undefined> {
    try {
      const text = await (await fetch(`${run.url}/metrics`, { signal: AbortSignal.timeout(10_000) })).text()
      const value = (name: string) =>
        Number(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)`, 'm').exec(text)?.[1] ?? Number.NaN)
      return {
        heapMiB: round(value('tailflux_process_heap_bytes') / (1 << 20)),
        rssMiB: round(value('tailflux_process_resident_memory_bytes') / (1 << 20)),
        descriptors: readdirSync(`/proc/${run.process.pid}/fd`).length,
        apiSockets: world.apiProxy.openSockets,
        dbSockets: world.dbProxy.openSockets,
        stateKiB: Math.round(statSync(join(world.dataDir, 'state.db')).size / 1024),
        points: value('tailflux_points_written_total'),
      }
    } catch {
      // Busy just then.
      return undefined
    }
  }

  const half = samples.length >> 1
  const [first, second] = [samples.slice(Math.floor(half / 2), half), samples.slice(half)]
  const most = (some: readonly Sample[], key: keyof Sample) => Math.max(...some.map((sample) => sample[key]))
  console.log(
    `${minutes} minutes, ${faults} faults, ${samples.at(-1)?.points} points written, ${lagSeconds} simulated s behind`,
  )
  for (const key of ['heapMiB', 'rssMiB', 'descriptors', 'apiSockets', 'dbSockets', 'stateKiB'] as const)
    console.log(`${key}: most ${most(first, key)} in the second quarter, ${most(second, key)} in the second half`)
  assert.ok(most(second, 'heapMiB') <= most(first, 'heapMiB') * 1.25 + 8, 'the heap grows')
  assert.ok(most(second, 'rssMiB') <= most(first, 'rssMiB') * 1.25 + 16, 'the memory grows')
  assert.ok(most(second, 'descriptors') <= most(first, 'descriptors') + 6, 'descriptors grow')
  assert.ok(most(second, 'apiSockets') <= 16 && most(second, 'dbSockets') <= 16, 'sockets grow')
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  for (const stop of stops.reverse()) await stop()
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
