/** From answers over HTTP to rows in a real database, with all parts on the same cores: the service, the loader limit and the plain route.
 *
 * Each variant writes into a database of its own, which was filled with the same series before: new points of known series, as every day. In each
 * round all of them write the same points, one after the other. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Influxd, startInfluxd } from '../test/services/influxd.ts'
import { startVictoriaMetrics } from '../test/services/victoria-metrics.ts'
import { type Answers, startAnswers } from './answers.ts'
import { type Child, cpuSecondsOf, startChild } from './child.ts'
import { FROM_NS, type Input, inputOf, type TailnetName, tailnetOf } from './inputs.ts'
import { type GoalResult, type Measured, type Progress, type Row, RUNS } from './report.ts'
import { type ServiceProcess, startService } from './service.ts'
import { type Summary, summarize } from './stats.ts'

/** What one window is meant to bring (`poll.windowBytesTarget`). */
const ANSWER_BYTES = 8 << 20
const ANSWERS = 3
/** The first round is read so often by the service, until its code is compiled, as it is after the first minutes of its life. The same points
 * overwrite themselves. */
const WARM_UPS = 6
const SETTLE_STEP_MS = 200
const SETTLE_STEPS_MAX = 50
const SETTLED_CPU_SECONDS = 0.02
const CONNECTIONS = [1, 2, 4] as const
const LOADERS = CONNECTIONS.flatMap((connections) => [false, true].map((gzip) => ({ connections, gzip })))

interface Target {
  readonly name: string
  readonly pid: () => number
  /** Settings of the service to write into a database of this name. */
  env(db: string): Record<string, string>
  writeUrl(db: string): string
  /** Raw points there; undefined where that is not known. */
  count(db: string): Promise<number | undefined>
}

interface Round {
  readonly inputs: readonly Input[]
  readonly entries: number
}

export async function measureEndToEnd(progress: Progress): Promise<Measured> {
  const parts: Measured[] = []
  for (const tailnet of ['medium', 'small'] as const) {
    {
      await using server = await startInfluxd(undefined, { settings: { coordinator: { 'write-timeout': '1m' } } })
      parts.push(await measureTarget(influx(server), tailnet, progress))
    }
    if (tailnet === 'small') continue
    await using server = await startVictoriaMetrics()
    const target: Target = {
      name: 'VictoriaMetrics',
      pid: () => server.pid!,
      env: (db) => ({ INFLUX_URL: server.url, INFLUX_API: 'v2', INFLUX_BUCKET: db, TAILFLUX_TAILNET_NAME: db }),
      writeUrl: (db) => `${server.url}/write?db=${db}`,
      count: async () => undefined,
    }
    parts.push(await measureTarget(target, tailnet, progress))
  }
  return {
    rows: parts.flatMap(({ rows }) => rows),
    goalResults: parts.flatMap(({ goalResults }) => goalResults),
    figures: parts.map(({ figures }) => figures),
  }
}

function influx(server: Influxd): Target {
  const made = new Set<string>()
  return {
    name: 'InfluxDB 1.6.7',
    pid: () => server.pid!,
    env: (db) => ({ INFLUX_URL: server.url, INFLUX_API: 'v1', INFLUX_DB: db, TAILFLUX_INFLUX_CREATE_DATABASE: 'true' }),
    writeUrl: (db) => `${server.url}/write?db=${db}`,
    async count(db) {
      if (!made.has(db)) await server.query(`CREATE DATABASE "${db}"`)
      made.add(db)
      const [result] = await server.query('SELECT count(flows) FROM tailnet_flow', db)
      return (result?.series ?? []).reduce((sum, { values }) => sum + Number(values[0]?.[1]), 0)
    },
  }
}

function roundsOf(tailnet: TailnetName, count: number): Round[] {
  let fromNs = FROM_NS
  return Array.from({ length: count }, () => {
    const inputs = Array.from({ length: ANSWERS }, () => {
      const input = inputOf(tailnet, { bytes: ANSWER_BYTES }, fromNs)
      fromNs = input.endNs
      return input
    })
    return { inputs, entries: inputs.reduce((sum, { entries }) => sum + entries, 0) }
  })
}

async function measureTarget(target: Target, tailnet: TailnetName, progress: Progress): Promise<Measured> {
  progress(`end to end: ${target.name}, ${tailnet}`)
  const rounds = roundsOf(tailnet, RUNS + 1)
  await using answers = await startAnswers(tailnetOf(tailnet), FROM_NS)
  await target.count('service')
  await using service = await startService({
    TAILSCALE_API_URL: answers.url,
    // Requests wait until they are answered.
    TAILFLUX_TAILSCALE_HEAD_TIMEOUT: '1h',
    TAILFLUX_TAILSCALE_TOTAL_TIMEOUT: '1h',
    TAILFLUX_POLL_LATE_PASSES: '[]',
    TAILFLUX_POLL_LOOKBACK: '30d',
    TAILFLUX_POLL_WINDOW_MAX: '10m',
    ...target.env('service'),
  })
  const loader = await startChild('loader-child.ts', { args: [tailnet] })
  const plain = await startChild('plain-write-child.ts')
  const runs = new Map<string, { rate: number; cpu: number; dbCpu: number }[]>()
  const note = (name: string, entries: number, seconds: number, cpu: number, dbCpu: number) => {
    const list = runs.get(name) ?? []
    runs.set(name, list)
    list.push({ rate: entries / seconds, cpu: (cpu / entries) * 1e6, dbCpu: (dbCpu / entries) * 1e6 })
  }
  try {
    for (const [index, round] of rounds.entries()) {
      const isWarmUp = index === 0
      await loader.ask({ prepare: round.inputs.map(({ path }) => path) })
      // The order changes, so that no route always meets the database at the same moment of its own chores.
      progress(`  round ${index} of ${RUNS}, ${round.entries} entries`)
      const turns = [serviceTurn, ...(isWarmUp ? [] : [plainTurn]), ...LOADERS.map((one) => () => loaderTurn(one))]
      for (const turn of [...turns.slice(index % turns.length), ...turns.slice(0, index % turns.length)]) await turn()

      async function serviceTurn(): Promise<void> {
        if (isWarmUp) for (let i = 1; i < WARM_UPS; i++) await runService(service, answers, round)
        await timed('service', round.entries, service, () => runService(service, answers, round))
      }
      async function plainTurn(): Promise<void> {
        // One answer is enough to know its pace.
        const { path, entries } = round.inputs[0]!
        await using one = await startAnswers(tailnetOf(tailnet), FROM_NS)
        one.release([path])
        const answer = `${one.url}/api/v2/tailnet/-/logging/network?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z`
        await target.count('plain')
        await timed('plain', entries, plain, () => plain.ask({ answer, write: target.writeUrl('plain') }))
      }
      async function loaderTurn({ connections, gzip }: (typeof LOADERS)[number]): Promise<void> {
        const name = `loader, ${connections} connection${connections > 1 ? 's' : ''}, ${gzip ? 'gzip' : 'raw'}`
        const db = loaderDb({ connections, gzip })
        await target.count(db)
        await timed(name, round.entries, loader, () => loader.ask({ url: target.writeUrl(db), connections, gzip }))
      }
      async function timed(
        name: string,
        entries: number,
        process: Pick<Child, 'cpuSeconds'>,
        work: () => Promise<unknown>,
      ): Promise<void> {
        await settle(target.pid())
        const cpuBefore = process.cpuSeconds()
        const dbCpuBefore = cpuSecondsOf(target.pid())
        const beganMs = performance.now()
        await work()
        const seconds = (performance.now() - beganMs) / 1000
        if (!isWarmUp)
          note(name, entries, seconds, process.cpuSeconds() - cpuBefore, cpuSecondsOf(target.pid()) - dbCpuBefore)
      }
    }
    // Not the lines: a record that was uploaded twice is written twice and lies there once.
    const rowsExpected = await target.count(loaderDb(LOADERS[0]!))
    const rows = await target.count('service')
    if (rows !== rowsExpected) throw new Error(`${target.name} holds ${rows} rows of the service, not ${rowsExpected}`)
  } finally {
    await loader.stop()
    await plain.stop()
  }
  return measured(target.name, tailnet, runs)
}

function loaderDb({ connections, gzip }: (typeof LOADERS)[number]): string {
  return `loader_${connections}_${gzip ? 'gzip' : 'raw'}`
}

/** A database continues with its chores after it has answered, and they are none of the next one's. */
async function settle(pid: number): Promise<void> {
  for (let i = 0; i < SETTLE_STEPS_MAX; i++) {
    const before = cpuSecondsOf(pid)
    await sleep(SETTLE_STEP_MS)
    if (cpuSecondsOf(pid) - before <= SETTLED_CPU_SECONDS) return
  }
}

async function runService(service: ServiceProcess, answers: Answers, round: Round): Promise<void> {
  const done = service.entriesDone(round.entries)
  answers.release(round.inputs.map(({ path }) => path))
  await done
}

function measured(
  target: string,
  tailnet: TailnetName,
  runs: ReadonlyMap<string, readonly { rate: number; cpu: number; dbCpu: number }[]>,
): Measured {
  const figures: { name: string; rate: Summary; cpu: Summary; dbCpu: Summary }[] = []
  for (const [name, list] of runs) {
    figures.push({
      name,
      rate: summarize(list.map(({ rate }) => rate)),
      cpu: summarize(list.map(({ cpu }) => cpu)),
      dbCpu: summarize(list.map(({ dbCpu }) => dbCpu)),
    })
  }
  const loaders = figures.filter(({ name }) => name.startsWith('loader'))
  const limit = loaders.reduce((best, one) => (one.rate.median > best.rate.median ? one : best))
  // Round by round, because all of them meet the same machine only within one.
  const ofLimit = runs.get(limit.name)!
  const ratio = summarize(runs.get('service')!.map(({ rate }, round) => rate / ofLimit[round]!.rate))
  const isGoal = target.startsWith('InfluxDB') && tailnet === 'medium'
  const goalResult: GoalResult = {
    goal: `end to end, ${target}, ${tailnet}: service over the loader limit, round by round`,
    figure: ratio.median,
    ...(isGoal ? { atLeast: 0.9 } : {}),
  }
  const rows: Row[] = figures.map(({ name, rate, cpu, dbCpu }) => ({
    measurement: 'end to end',
    input: `${tailnet} into ${target}`,
    route: name,
    rate,
    cpu,
    remark: `database ${dbCpu.median.toFixed(1)} CPU s/M${name === limit.name ? ', the loader limit' : ''}`,
  }))
  return { rows, goalResults: [goalResult], figures: { target, tailnet, figures, ratio } }
}
