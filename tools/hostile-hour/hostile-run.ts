/** An hour of a tailnet in which one node attacks: real service process, real InfluxDB 1.6.7 with few descriptors and a limit of tag values, all
 * watched from outside. What it finds is a report; `faultsOf` says which promises it breaks. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.ts'
import { linesOf } from '../../test/helpers/lines.ts'
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts'
import { type Influxd, startInfluxd } from '../../test/services/influxd.ts'
import type { Scope } from '../../test/services/server-process.ts'
import { createSimulatedApi } from '../../test/simulator/api.ts'
import { NOON } from '../../test/simulator/ranges.ts'
import { createTailnet } from '../../test/simulator/tailnet.ts'
import { createSharedClock } from './hostile-clock.ts'
import { type Attack, createHostileNode, REFUSE_MARK, withHostileNode } from './hostile-node.ts'
import { startRefuser } from './hostile-refuser.ts'
import type { ServicePlan } from './hostile-service.ts'
import { type Compared, type Comparison, createStored } from './hostile-stored.ts'

export interface HostileOptions {
  readonly attacks: readonly Attack[]
  readonly nodes: number
  readonly minutes: number
  /** How fast time runs. */
  readonly speed: number
  readonly sampleMinutes: number
  /** `max-values-per-tag` at first; it is raised after `raiseMinutes`. */
  readonly tagValuesMax: number
  readonly raiseMinutes: number
  readonly scanAddresses: number
  readonly manyEntries: number
  readonly largeBytes: number
  readonly descriptorsMax: number
  readonly settings?: Readonly<Record<string, unknown>>
  readonly log: (text: string) => void
}

export interface Sample {
  readonly minute: number
  /** Seconds. */
  readonly lag: number | null
  readonly gaps: number
  /** Points of honest nodes that had to be there, and that were not. */
  readonly due: number
  readonly missing: number
  /** Of those: points that the database could not take, being at its limit of tag values, or that wait to be tried again. */
  readonly limited: number
  readonly foreign: number
  readonly wrong: number
  readonly quarantined: number
  readonly lettersKiB: number
  readonly shards: number
  readonly descriptors: number
  readonly writes: number
  readonly reads: number
  readonly rssMiB: number
  readonly health: string
  readonly changes: number
}

export interface HostileReport {
  readonly attacks: readonly Attack[]
  readonly samples: readonly Sample[]
  /** Each state of /health, with the minute at which it began. */
  readonly healthChanges: readonly { readonly minute: number; readonly state: string; readonly text: string }[]
  readonly serviceRestarts: number
  readonly databaseRestarts: number
  readonly livezFailures: number
  readonly final: Compared
  /** Minutes after the end until all was there; undefined: never. */
  readonly drainMinutes: number | undefined
  /** What the plan says must be accounted for, and what the letters and the counters say. */
  readonly account: { readonly messages: number; readonly bad: number; readonly refused: number }
  readonly letters: Letters
  readonly quarantinedTotal: number
  readonly droppedTotal: number
  readonly watermarkBehindSeconds: number | null
  readonly gaps: readonly unknown[]
  readonly peakRssMiB: number
  readonly seconds: number
  readonly serviceOutput: string
}

export interface Letters {
  readonly bytes: number
  readonly lines: number
  /** Lines per stage and reason. */
  readonly by: Readonly<Record<string, number>>
  /** Parts whose text is there, alone or as a list of one message, and those that a line only counts. */
  readonly kept: number
  readonly counted: number
  readonly unreadable: number
}

const SECOND_NS = 1_000_000_000n
const MINUTE_NS = 60n * SECOND_NS
const START_NS = NOON + 60n * MINUTE_NS
const POLL_MS = 30_000
/** The lag of windows and a poll; and what a busy machine may take for a window, by real time. */
const DUE_NS = 60n * SECOND_NS + 30n * SECOND_NS
const BUSY_SECONDS = 10
/** A limit of the database is tried again every ten minutes, and then all of it comes. */
const LIMIT_MINUTES = 15
const RESTARTS_MAX = 10
const DRAIN_MINUTES_MAX = 20
const SERVICE = join(import.meta.dirname, 'hostile-service.ts')

export async function runHostileHour(scope: Scope, options: HostileOptions): Promise<HostileReport> {
  const { log, speed } = options
  const beganMs = performance.now()
  const tailnet = createTailnet({ nodes: options.nodes })
  const endNs = START_NS + BigInt(Math.round(options.minutes * 60)) * SECOND_NS
  const hostile = createHostileNode(tailnet, {
    attacks: options.attacks,
    fromNs: START_NS,
    toNs: endNs,
    scanAddresses: options.scanAddresses,
    scanShare: (options.raiseMinutes / options.minutes) * 0.66,
    manyEntries: options.manyEntries,
    largeBytes: options.largeBytes,
  })
  const limit = (values: number) => ({ data: { 'max-values-per-tag': values } })
  const database = await startInfluxd(scope, {
    databases: ['flows'],
    settings: limit(options.tagValuesMax),
    descriptorsMax: options.descriptorsMax,
  })
  const refuser = await startRefuser(scope, () => database.url, REFUSE_MARK)
  const home = temporaryFolder(scope)
  const dataDir = join(home, 'data')
  const time = { startNs: START_NS, beganMs: performance.timeOrigin + performance.now(), speed }
  const clock = createSharedClock(time)
  const api = createSimulatedApi(withHostileNode(tailnet, hostile), { nowNs: () => clock.now() })
  await api.start()
  scope.after(() => api.stop())
  const service = createSupervisor(scope, {
    ...time,
    startNs: String(START_NS),
    pollMs: POLL_MS,
    settings: {
      'tailscale.apiUrl': api.url,
      'tailscale.apiKey': 'tskey-api-demo',
      'tailscale.headTimeout': '1h',
      'tailscale.idleTimeout': '1h',
      'tailscale.totalTimeout': '1h',
      'influx.url': refuser.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
      'influx.timeout': '2m',
      'influx.giveUp': '1h',
      'poll.lookback': '5m',
      'http.port': 0,
      dataDir,
      ...options.settings,
    },
  })
  await service.start()
  // The first start reads the minutes before the attack too.
  const stored = createStored(tailnet, hostile, await originOf(service))
  const place = { url: database.url, db: 'flows' }
  const watch = createWatch(service, clock, START_NS)
  const minuteOf = () => Number((clock.now() - START_NS) / SECOND_NS) / 60
  let databaseRestarts = 0
  let isRaised = false
  let raisedAt = 0
  const shown = new Set<string>()
  const isLimited = () => options.attacks.includes('scan') && !isRaised
  const limitedOf = ({ missing, unseen }: Comparison) =>
    isLimited() ? unseen.size : isRaised && minuteOf() < raisedAt + LIMIT_MINUTES ? missing.length : 0

  async function keepDatabase(): Promise<void> {
    if (!isRaised && options.attacks.includes('scan') && minuteOf() >= options.raiseMinutes) {
      isRaised = true
      raisedAt = minuteOf()
      await database.kill('SIGTERM')
      database.configure(limit(0))
      await database.start()
      log(`minute ${minuteOf().toFixed(1)}: the limit of tag values is raised`)
    } else if (database.pid === undefined && databaseRestarts < RESTARTS_MAX) {
      databaseRestarts += 1
      const words = /^.*(too many open files|panic|fatal).*$/m.exec(database.output())?.[0] ?? ''
      log(`minute ${minuteOf().toFixed(1)}: influxd ended: ${words.slice(0, 200)}`)
      await database.start().catch((error: Error) => log(`influxd does not start: ${error.message.slice(0, 200)}`))
    }
  }

  async function sample(): Promise<Sample> {
    const minute = Math.round(minuteOf() * 10) / 10
    const dueNs = clock.now() - DUE_NS - BigInt(Math.round(BUSY_SECONDS * speed)) * SECOND_NS
    const look = async () => (await stored.compare(place, dueNs, clock.now, 'honest')).honest
    const isOdd = (one: Comparison) => one.missing.length - limitedOf(one) + one.foreign.length + one.wrong.length > 0
    let honest = await look()
    // A reading while something is being written may see half of it: what is so in each of them counts.
    for (let more = 0; more < 3 && isOdd(honest); more++) {
      await sleep(1_000)
      honest = inBoth(honest, await look())
    }
    for (const [what, keys] of Object.entries({
      missing: honest.missing,
      foreign: honest.foreign,
      wrong: honest.wrong,
    }))
      if (keys[0] !== undefined && !shown.has(what)) log(`first ${what}: ${shown.add(what) && keys[0].slice(0, 300)}`)
    const odd = honest.missing.filter((key) => !honest.unseen.has(key))
    if (isLimited() && odd[0] !== undefined && !shown.has('odd'))
      log(`first missing that is not beyond the limit: ${shown.add('odd') && odd[0].slice(0, 300)}`)
    const status = await service.status()
    const metrics = await service.metrics()
    return {
      minute,
      lag: typeof status?.lagSeconds === 'number' ? Math.round(status.lagSeconds) : null,
      gaps: status?.gaps.length ?? -1,
      due: honest.due,
      missing: honest.missing.length,
      limited: limitedOf(honest),
      foreign: honest.foreign.length,
      wrong: honest.wrong.length,
      quarantined: sumOf(metrics, 'tailflux_quarantined_total'),
      lettersKiB: Math.round(sizeOf(join(dataDir, 'dead-letters')) / 1024),
      shards: await shardsOf(database),
      descriptors: descriptorsOf(database.pid),
      writes: refuser.counts.write,
      reads: api.count('logs'),
      rssMiB: Math.round(sumOf(metrics, 'tailflux_process_resident_memory_bytes') / 2 ** 20),
      health: watch.last(),
      changes: watch.changes.length,
    }
  }

  const samples: Sample[] = []
  log(HEADINGS.map(([name, width]) => name.padStart(width)).join(' '))
  for (let minute = options.sampleMinutes; minute <= options.minutes; minute += options.sampleMinutes) {
    do {
      await keepDatabase()
      await sleep(100)
    } while (minuteOf() < minute)
    const one = await sample().catch((error: Error) => void log(`no sample: ${error.message.slice(0, 200)}`))
    if (one === undefined) continue
    samples.push(one)
    log(rowOf(one))
  }

  // What was held up may come now.
  let final: Compared
  let drainMinutes: number | undefined
  for (;;) {
    await keepDatabase()
    final = await stored.compare(place, endNs, clock.now).catch(() => NOTHING)
    const isAll = final !== NOTHING && final.honest.missing.length + final.hostile.missing.length === 0
    const behind = watermarkBehind((await service.status())?.watermark, endNs)
    if (isAll && behind !== null && behind <= 0) {
      drainMinutes = minuteOf() - options.minutes
      break
    }
    if (minuteOf() > Math.max(options.minutes, raisedAt) + DRAIN_MINUTES_MAX) break
    await sleep(500)
  }
  const status = await service.status()
  const metrics = await service.metrics()
  watch.stop()
  await service.stop()
  return {
    attacks: options.attacks,
    samples,
    healthChanges: watch.changes,
    serviceRestarts: service.restarts(),
    databaseRestarts,
    livezFailures: watch.livezFailures(),
    final,
    drainMinutes,
    account: stored.accountOf(endNs),
    letters: lettersIn(join(dataDir, 'dead-letters')),
    quarantinedTotal: sumOf(metrics, 'tailflux_quarantined_total'),
    droppedTotal: sumOf(metrics, 'tailflux_points_dropped_total'),
    watermarkBehindSeconds: watermarkBehind(status?.watermark, endNs),
    gaps: status?.gaps ?? [],
    peakRssMiB: service.peakRssMiB(),
    seconds: (performance.now() - beganMs) / 1000,
    serviceOutput: service.output(),
  }
}
function inBoth(one: Comparison, other: Comparison): Comparison {
  const both = (a: readonly string[], b: readonly string[]) => {
    const there = new Set(b)
    return a.filter((key) => there.has(key))
  }
  return {
    due: other.due,
    missing: both(one.missing, other.missing),
    unseen: new Set(both([...one.unseen], [...other.unseen])),
    foreign: both(one.foreign, other.foreign),
    wrong: both(one.wrong, other.wrong),
  }
}

const NONE = { due: 0, missing: [], unseen: new Set<string>(), foreign: [], wrong: [] }
const NOTHING: Compared = { honest: NONE, hostile: NONE }

interface StatusOfService {
  readonly lagSeconds: number | null
  readonly watermark: string | null
  readonly origin: string | null
  readonly gaps: readonly unknown[]
}

/** Starts the service again when it ends by itself, as a container does. */
function createSupervisor(scope: Scope, plan: ServicePlan) {
  let child: ChildProcess | undefined
  let url = ''
  let output = ''
  let restarts = 0
  let peakKiB = 0
  let isStopping = false

  async function start(): Promise<void> {
    const made = fork(SERVICE, [JSON.stringify(plan)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--max-semi-space-size=1', '--no-maglev'],
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    })
    child = made
    for (const stream of [made.stdout!, made.stderr!])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        output = (output + piece).slice(-(1 << 20))
      })
    made.once('exit', () => {
      if (isStopping || restarts >= RESTARTS_MAX) return
      restarts += 1
      void sleep(1_000).then(() => start())
    })
    const reported = await Promise.race([once(made, 'message'), once(made, 'exit').then(() => undefined)])
    if (reported !== undefined) url = (reported[0] as { url: string }).url
  }

  async function get(path: string): Promise<Response | undefined> {
    try {
      return await fetch(url + path, { signal: AbortSignal.timeout(5_000) })
    } catch {
      // It is being started again, or too busy: the watch counts that.
      return undefined
    }
  }

  function remember(): void {
    try {
      const found = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child?.pid}/status`, 'utf8'))
      peakKiB = Math.max(peakKiB, Number(found?.[1] ?? 0))
    } catch {
      // It ended just now.
    }
  }
  scope.after(async () => {
    isStopping = true
    child?.kill('SIGKILL')
  })

  return {
    start,
    get,
    restarts: () => restarts,
    output: () => output,
    peakRssMiB: () => Math.round(peakKiB / 1024),
    remember,
    async status(): Promise<StatusOfService | undefined> {
      const answer = await get('/api/status')
      return answer?.ok ? ((await answer.json()) as StatusOfService) : undefined
    },
    metrics: async () => (await (await get('/metrics'))?.text()) ?? '',
    async stop(): Promise<void> {
      remember()
      isStopping = true
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      const late = setTimeout(() => child?.kill('SIGKILL'), 20_000)
      await gone
      clearTimeout(late)
    },
  }
}
type Supervisor = ReturnType<typeof createSupervisor>

/** Where reading begins, as soon as the service knows it. */
async function originOf(service: Supervisor): Promise<bigint> {
  for (;;) {
    const origin = (await service.status())?.origin
    if (origin != null) return BigInt(Date.parse(origin)) * 1_000_000n
    await sleep(25)
  }
}

/** Asks /health and /livez all the time. */
function createWatch(service: Supervisor, clock: Clock, startNs: bigint) {
  const changes: { minute: number; state: string; text: string }[] = []
  let livezFailures = 0
  let isOver = false

  async function look(): Promise<void> {
    service.remember()
    const live = await service.get('/livez')
    if (live !== undefined && !live.ok) livezFailures += 1
    const answer = await service.get('/health')
    const [state, text] = answer === undefined ? ['no answer', ''] : stateOf(await answer.json())
    if (changes.at(-1)?.state === state) return
    changes.push({ minute: Number((clock.now() - startNs) / 1_000_000n) / 60_000, state, text })
  }
  void (async () => {
    while (!isOver) {
      await look()
      await sleep(50)
    }
  })()
  return {
    changes,
    livezFailures: () => livezFailures,
    last: () => changes.at(-1)?.state ?? '',
    stop() {
      isOver = true
    },
  }
}

/** Without the difference of the clocks: at such a speed a busy second of this machine is one of many. */
function stateOf(health: unknown): [string, string] {
  type Part = { component?: string; status: string; code?: string; text?: string }
  const {
    status,
    text = '',
    components,
  } = health as {
    status: string
    text?: string
    components?: Part[]
  }
  const parts = (components ?? []).filter((part) => part.status !== 'ok' && part.code !== 'skew')
  if (parts.length === 0) return ['ok', '']
  return [[status, ...parts.map((part) => `${part.component} ${part.code}`)].join(', '), text]
}

function sumOf(metrics: string, name: string): number {
  let sum = 0
  for (const [, value] of metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gm')))
    sum += Number(value)
  return sum
}

async function shardsOf(database: Influxd): Promise<number> {
  const [result] = await database.query('SHOW SHARDS')
  return (result?.series ?? []).reduce((sum, { values }) => sum + values.length, 0)
}

function descriptorsOf(pid: number | undefined): number {
  try {
    return pid === undefined ? 0 : readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0
  }
}

function sizeOf(dir: string): number {
  try {
    return readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
  } catch {
    // There are no letters yet.
    return 0
  }
}

function lettersIn(dir: string): Letters {
  const by: Record<string, number> = {}
  const sums = { bytes: sizeOf(dir), lines: 0, kept: 0, counted: 0, unreadable: 0 }
  let names: string[] = []
  try {
    names = readdirSync(dir)
  } catch {
    // There are none.
  }
  for (const name of names.sort()) {
    for (const line of linesOf(readFileSync(join(dir, name)))) {
      sums.lines += 1
      try {
        const letter = JSON.parse(line) as { stage?: string; reason?: string; count?: number; more?: number }
        const key = `${letter.stage} ${letter.reason}${letter.more === undefined ? '' : ' (more like this)'}`
        by[key] = (by[key] ?? 0) + 1
        if (letter.more === undefined) sums.kept += letter.count ?? 1
        else sums.counted += letter.more
      } catch {
        sums.unreadable += 1
      }
    }
  }
  return { ...sums, by }
}

function watermarkBehind(watermark: string | null | undefined, endNs: bigint): number | null {
  return watermark == null ? null : Number(endNs / 1_000_000n - BigInt(Date.parse(watermark))) / 1000
}

const HEADINGS: readonly (readonly [keyof Sample, number])[] = [
  ['minute', 6],
  ['lag', 6],
  ['gaps', 4],
  ['due', 7],
  ['missing', 7],
  ['limited', 7],
  ['foreign', 7],
  ['wrong', 5],
  ['quarantined', 11],
  ['lettersKiB', 10],
  ['shards', 6],
  ['descriptors', 11],
  ['writes', 6],
  ['reads', 6],
  ['rssMiB', 6],
  ['changes', 7],
  ['health', 0],
]
function rowOf(sample: Sample): string {
  return HEADINGS.map(([name, width]) => String(sample[name]).padStart(width)).join(' ')
}

/** Which promises a run broke, one sentence each; none is how it must be. */
export function faultsOf(report: HostileReport): string[] {
  const faults: string[] = []
  const claim = (holds: boolean, text: string) => void (holds || faults.push(text))
  const { final, samples, letters, account } = report
  claim(report.serviceRestarts === 0, `the service ended ${report.serviceRestarts} times`)
  claim(report.databaseRestarts === 0, `influxd ended ${report.databaseRestarts} times`)
  claim(report.livezFailures === 0, `/livez failed ${report.livezFailures} times`)
  for (const { minute, missing, limited, due, foreign, wrong } of samples) {
    claim(
      missing === limited,
      `minute ${minute}: ${missing} of ${due} points of honest nodes are missing (${limited} of them beyond the limit)`,
    )
    claim(foreign + wrong === 0, `minute ${minute}: ${foreign} points too many, ${wrong} with other numbers`)
  }
  for (const whose of ['honest', 'hostile'] as const) {
    const { due, missing, foreign, wrong } = final[whose]
    claim(due > 0, `${whose}: there was nothing to compare`)
    claim(
      missing.length === 0,
      `${whose}: ${missing.length} of ${due} points are missing, such as ${missing[0]?.slice(0, 200)}`,
    )
    claim(foreign.length === 0, `${whose}: ${foreign.length} points too many, such as ${foreign[0]?.slice(0, 200)}`)
    claim(wrong.length === 0, `${whose}: ${wrong.length} points with other numbers, such as ${wrong[0]?.slice(0, 200)}`)
  }
  claim(report.drainMinutes !== undefined, `the watermark stays ${report.watermarkBehindSeconds} s before the end`)
  claim(report.gaps.length === 0, `${report.gaps.length} gaps are open at the end`)
  const accounted = letters.kept + letters.counted
  const wanted = account.bad + account.refused
  claim(
    accounted === wanted,
    `letters account for ${accounted} parts (${letters.kept} kept, ${letters.counted} counted) of ${wanted}`,
  )
  claim(
    report.quarantinedTotal === account.bad,
    `tailflux_quarantined_total is ${report.quarantinedTotal} of ${account.bad}`,
  )
  claim(letters.unreadable === 0, `${letters.unreadable} lines of the letters are no JSON`)
  return faults
}
