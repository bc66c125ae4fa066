/** One chaos run: the service and its database are killed at random instants while the clock of the API runs through a simulated day and
 * network, API, disk and wall clock misbehave. Afterwards everything must be there, point by point, and nothing else. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDice } from '../../src/demo/random.ts'
import { linesOf } from '../../test/helpers/lines.ts'
import { assertTruth, storedIn } from '../../test/line/truth-in.ts'
import type { Toxic } from '../../test/services/proxy.ts'
import type { Scope } from '../../test/services/server-process.ts'
import type { Fault } from '../../test/simulator/faults.ts'
import {
  CANARY,
  type ChaosWorld,
  LAG_NS,
  LATE_PASSES_MS,
  SECOND_NS,
  type ServiceRun,
  startChaosWorld,
} from './chaos-world.ts'

export interface ChaosPlan {
  readonly seed: number
  readonly serviceKills: number
  readonly databaseKills: number
  /** Simulated time that passes meanwhile, hours. */
  readonly hours: number
  readonly nodes: number
  readonly activity: number
  readonly log: (text: string) => void
}

export interface ChaosReport {
  readonly points: number
  /** How often each thing was done to them, and how often the service reported what it did. */
  readonly bites: ReadonlyMap<string, number>
  readonly seconds: number
  readonly apiRequests: number
}

/** A kill comes so long after the start: sometimes before it listens, sometimes after some windows. Ms. */
const LIFE_MS = [150, 4_000] as const
const DISK_BYTES = 1 << 20
const QUIET_MS = 180_000

const TOXICS: readonly Toxic[] = [
  { kind: 'latency', ms: 300 },
  { kind: 'cut', of: 'answer', afterBytes: 20_000 },
  { kind: 'cut', of: 'request', afterBytes: 5_000 },
  { kind: 'reset', of: 'answer', afterBytes: 100 },
  { kind: 'reset', of: 'request', afterBytes: 20_000 },
  { kind: 'drip', bytes: 700, everyMs: 10 },
  { kind: 'half-body' },
  { kind: 'lose-answer' },
  { kind: 'refuse' },
  { kind: 'black-hole' },
]
const API_FAULTS: readonly Fault[] = [
  { kind: 'status', status: 401 },
  { kind: 'status', status: 403 },
  { kind: 'status', status: 429, retryAfter: '1' },
  { kind: 'status', status: 500, body: '403 Forbidden' },
  { kind: 'status', status: 504 },
  { kind: 'html' },
  { kind: 'truncate', fraction: 0.5, clean: true },
  { kind: 'truncate', fraction: 0.9 },
  { kind: 'hang-body', afterBytes: 10_000 },
  { kind: 'garbage', afterBytes: 5_000 },
  // Date headers that are wrong or missing: in the simulation, because here the wall clock is a day ahead, and one clock must be right.
]

export async function runChaos(scope: Scope, plan: ChaosPlan): Promise<ChaosReport> {
  const beganMs = performance.now()
  // The day lies in the past: the API's clock runs through it in minutes, and the wall clock of the service, which is ahead, must not matter.
  const endNs = (BigInt(Date.now()) / 1000n - 86_400n) * SECOND_NS
  const startNs = endNs - BigInt(plan.hours * 3600) * SECOND_NS
  const world = await startChaosWorld(scope, {
    seed: plan.seed,
    nodes: plan.nodes,
    activity: plan.activity,
    epochNs: startNs - 1_800n * SECOND_NS,
    lateUntilNs: endNs,
    diskBytes: DISK_BYTES,
  })
  const dice = createDice()
  dice.seed(plan.seed)
  /** From 0 to below 1. */
  const random = () => dice.below(2 ** 32) / 2 ** 32
  const bites = new Map<string, number>()
  const bite = (name: string) => void bites.set(name, (bites.get(name) ?? 0) + 1)
  let isOver = false

  // The first process begins in peace, so that the origin is known: half an hour before nothing was recorded.
  world.apiClock.set(startNs, 0)
  let run = await world.start()
  await reached(world, run, (status) => status['watermarkNs'] !== null)
  const perKillMs = LIFE_MS[0] + (LIFE_MS[1] - LIFE_MS[0]) / 3 + 300
  const speed = (plan.hours * 3_600_000) / (plan.serviceKills * perKillMs)
  world.apiClock.set(startNs, speed, endNs)

  /** The day ends with the last kill, however long the kills take. */
  function setApiClock(kills: number): void {
    const dueNs = startNs + (BigInt(plan.hours * 3600) * SECOND_NS * BigInt(kills)) / BigInt(plan.serviceKills)
    if (world.apiClock.now() < dueNs) world.apiClock.set(dueNs, speed, endNs)
  }

  async function torment(): Promise<void> {
    while (!isOver) {
      const kind = random()
      const holdMs = 100 + Math.floor(random() ** 2 * 2_500)
      if (kind < 0.3) {
        const toxic = pick(TOXICS)
        bite(`api proxy ${toxic.kind}`)
        await world.apiProxy.set(toxic)
        await sleep(holdMs)
        await world.apiProxy.set(undefined)
      } else if (kind < 0.6) {
        const toxic = pick(TOXICS)
        bite(`database proxy ${toxic.kind}`)
        await world.dbProxy.set(toxic)
        await sleep(holdMs)
        await world.dbProxy.set(undefined)
      } else if (kind < 0.8) {
        const fault = pick(API_FAULTS)
        bite(`api ${fault.kind}${'status' in fault ? ` ${fault.status}` : ''}`)
        const end = world.api.setFault(fault)
        await sleep(holdMs)
        end()
      } else if (kind < 0.87) {
        const seconds = pick([3_600, -3_600, 315_360_000, 7])
        bite('wall clock jumps')
        world.jump(seconds)
        await sleep(holdMs)
        world.jump(0)
      } else if (kind < 0.93 && world.isSmallDisk) await fillDisk(holdMs)
      else await sleep(holdMs)
    }
  }

  async function fillDisk(ms: number): Promise<void> {
    const path = join(world.dataDir, 'filler')
    bite('disk full')
    try {
      for (let size = DISK_BYTES; size >= 1_024; size >>= 1) {
        try {
          writeFileSync(path, Buffer.alloc(size), { flag: 'a' })
        } catch {
          // No room for so much: half of it.
        }
      }
      await sleep(ms)
    } finally {
      rmSync(path, { force: true })
    }
  }

  async function killDatabase(): Promise<void> {
    const pauseMs = (plan.serviceKills * perKillMs) / plan.databaseKills
    for (let kill = 0; kill < plan.databaseKills; kill += 1) {
      await sleep(pauseMs * (0.4 + random() * 0.6))
      if (kill % 5 === 4) {
        bite('database SIGSTOP')
        process.kill(world.database.pid ?? 0, 'SIGSTOP')
        await sleep(500 + random() * 2_500)
        process.kill(world.database.pid ?? 0, 'SIGCONT')
      }
      bite('database SIGKILL')
      await world.database.kill('SIGKILL')
      await sleep(random() * 1_500)
      await world.database.start()
    }
  }

  async function killService(): Promise<void> {
    for (let kills = 0; kills < plan.serviceKills; ) {
      await sleep(LIFE_MS[0] + random() ** 2 * (LIFE_MS[1] - LIFE_MS[0]))
      await checkEdge(world, run)
      if ((await end(run, random(), bite)) === 'SIGKILL') kills += 1
      setApiClock(kills)
      learn(run, bites)
      const fate = random()
      if (fate < 0.03) harmState(world.dataDir, random(), bite)
      run = await world.start()
      if (kills % 50 === 49) plan.log(`${kills} kills, at ${timeOf(world.apiClock.now())}`)
    }
  }

  function pick<T>(list: readonly T[]): T {
    return list[Math.floor(random() * list.length)] as T
  }

  const killing = killService().finally(() => {
    isOver = true
  })
  // All three come to their end, also when one of them fails.
  const ends = await Promise.allSettled([killing, torment(), killDatabase()])
  for (const one of ends) if (one.status === 'rejected') throw one.reason

  // Quiet: the rest of the day, and two hours more for the last late pass.
  const lastNs = endNs + BigInt(LATE_PASSES_MS.at(-1)!) * 1_000_000n + 600n * SECOND_NS
  world.apiClock.set(lastNs, 0)
  plan.log('quiet')
  // A tick that begins now and comes to its end has made every late pass that is due; the second that ends began for sure.
  const ticks = new Set<string>()
  await reached(world, run, (status) => {
    const tick = status['lastTick'] as { result: string; at: string } | null
    if (tick?.result === 'caught_up') ticks.add(tick.at)
    const isThere = status['watermarkNs'] === String(lastNs - LAG_NS) && (status['gaps'] as unknown[]).length === 0
    return isThere && ticks.size >= 3
  })
  assert.equal(await stop(run), 0, 'SIGTERM: it ends by itself')
  learn(run, bites)
  const place = { url: world.database.url, db: 'flows' }
  const truth = world.tailnet.truth(0n, lastNs - LAG_NS, { nowNs: lastNs })
  const points = await assertTruth(storedIn(place), truth)
  return { points, bites, seconds: (performance.now() - beganMs) / 1000, apiRequests: world.api.count('logs') }
}

/** I5, as far as one can look in from outside: the watermark is never past the API's clock minus the lag. */
async function checkEdge(world: ChaosWorld, run: ServiceRun): Promise<void> {
  if (run.process.exitCode !== null) return
  const answer = await Promise.race([world.status(run), sleep(200).then(() => undefined)])
  const watermarkNs = answer?.['watermarkNs']
  if (typeof watermarkNs !== 'string') return
  assert.ok(BigInt(watermarkNs) <= world.apiClock.now() - LAG_NS, 'I5: the watermark passed the edge')
}

/** Resolves with what ended it. */
async function end(run: ServiceRun, draw: number, bite: (name: string) => void): Promise<number | NodeJS.Signals> {
  if (draw < 0.06) {
    bite('service SIGTERM')
    const code = await stop(run)
    assert.ok(
      code === 0 || code === 'SIGTERM' || code === 75 || code === 1 || code === 70,
      `SIGTERM: ended with ${code}`,
    )
    return code
  }
  if (draw < 0.12) {
    bite('service SIGSTOP')
    run.process.kill('SIGSTOP')
    await sleep(200 + draw * 10_000)
    run.process.kill('SIGCONT')
    await sleep(50)
  } else if (draw < 0.16) {
    bite('service SIGTERM, then SIGKILL')
    run.process.kill('SIGTERM')
    await sleep(draw * 2_000)
  }
  run.process.kill('SIGKILL')
  const how = await run.ended
  bite(how === 'SIGKILL' ? 'service SIGKILL' : `service had ended by itself (${how})`)
  return how
}

/** SIGTERM; it must end within ten seconds. */
async function stop(run: ServiceRun): Promise<number | NodeJS.Signals> {
  run.process.kill('SIGTERM')
  const over = new AbortController()
  const late = sleep(12_000, 'late' as const, { signal: over.signal }).catch(() => 'late' as const)
  const code = await Promise.race([run.ended, late])
  over.abort()
  assert.notEqual(code, 'late', 'SIGTERM: it does not end')
  return code as number | NodeJS.Signals
}

function harmState(dataDir: string, draw: number, bite: (name: string) => void): void {
  const path = join(dataDir, 'state.db')
  if (!existsSync(path)) return
  if (draw < 0.4) {
    bite('state file deleted')
    rmSync(path, { force: true })
    rmSync(`${path}-journal`, { force: true })
  } else {
    bite('state file damaged')
    writeFileSync(path, draw < 0.6 ? '' : Buffer.alloc(9_000, 0xee))
  }
  // A small disk holds only some of those that are moved away.
  for (const name of readdirSync(dataDir)) if (name.includes('.corrupt-')) rmSync(join(dataDir, name), { force: true })
}

/** What the service said about what was done to it. I9: no secret in it. */
function learn(run: ServiceRun, bites: Map<string, number>): void {
  const text = run.output()
  assert.ok(!text.includes(CANARY), 'I9: the API key was printed')
  for (const line of linesOf(text)) {
    const message = /"msg":"([^"]*)"/.exec(line)?.[1]
    if (message === undefined) continue
    const code = /"code":"([a-z_]+)"/.exec(line)?.[1]
    const queue = message === 'window done' ? / *"queue":"([a-z]+)"/.exec(line)?.[1] : undefined
    const name = `reported: ${message}${code ? ` (${code})` : ''}${queue ? ` (${queue})` : ''}`
    bites.set(name, (bites.get(name) ?? 0) + 1)
  }
}

async function reached(
  world: ChaosWorld,
  run: ServiceRun,
  isReached: (status: Record<string, unknown>) => boolean,
): Promise<void> {
  const deadlineMs = performance.now() + QUIET_MS
  let last: Record<string, unknown> | undefined
  while (performance.now() < deadlineMs) {
    last = await world.status(run)
    if (last !== undefined && isReached(last)) return
    if (run.process.exitCode !== null) break
    await sleep(100)
  }
  const { live: _, ...reported } = last ?? {}
  assert.fail(`it does not get there: ${JSON.stringify(reported)}\n${run.output().slice(-3000)}`)
}

function timeOf(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString()
}
