/** A database that loses what it acknowledged, and answers as before: it is noticed, and what is missing is read again. */
import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { type Influxd, startInfluxd } from '../services/influxd.ts'
import { startProxy, type Proxy as TcpProxy } from '../services/proxy.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { LAG_NS, originOf, type Running, startWorld, type World } from './world.ts'

const HOUR_MS = 3_600_000
const DB = 'flows'
const FOLDERS = ['meta', 'data', 'wal']
const NOTICED = 'database has lost acknowledged points'
/** Ten minutes, until the comparison is due; and what a busy machine needs at this speed. */
const COMPARED_S = 600 + 300

interface Stage {
  readonly world: World
  readonly influxd: Influxd
  readonly proxy: TcpProxy
  readonly open: () => Running
  /** The database as it was an hour ago, running beside the one in use. */
  readonly older: Influxd
}

/** Some two hours were read; the older database holds the first of them. What it lacks was acknowledged more than ten minutes ago, mostly, so that only
 * the checkpoint can show. The service has nothing in progress. */
async function stage(t: TestContext, speed: number, interval = '5s'): Promise<Stage & { readonly first: Running }> {
  const [influxd, older] = await Promise.all([startInfluxd(t, { databases: [DB] }), startInfluxd(t)])
  const proxy = await startProxy(t, influxd.url)
  const world = await startWorld(t, { tailnet: { nodes: 5 }, speed })
  const dataDir = temporaryFolder(t)
  const open = () =>
    world.service(
      { 'influx.url': proxy.url, 'influx.api': 'v1', 'influx.db': DB, 'poll.interval': interval },
      { dataDir, logLevel: 'info' },
    )
  const first = open()
  await first.catchUp()
  await atRest(first)
  await Promise.all([influxd.kill('SIGTERM'), older.kill('SIGTERM')])
  copyOf(influxd, older)
  await Promise.all([influxd.start(), older.start()])
  for (const ms of [HOUR_MS, HOUR_MS / 3]) {
    world.clock.skip(ms)
    await first.catchUp()
    await atRest(first)
  }
  return { world, influxd, proxy, open, older, first }
}

async function atRest({ service }: Running): Promise<void> {
  await service.pipeline.tick()
}

function copyOf(from: Influxd, to: Influxd): void {
  for (const name of FOLDERS) {
    rmSync(join(to.dir, name), { recursive: true, force: true })
    cpSync(join(from.dir, name), join(to.dir, name), { recursive: true })
  }
}

async function pointsIn(url: string): Promise<number> {
  let count = 0
  for await (const _ of storedIn({ url, db: DB })) count += 1
  return count
}

const isTroubled = ({ service }: Running) =>
  service.health.state().components.some(({ component, status }) => component === 'sink' && status !== 'ok')
const hasNoticed = ({ log }: Running) => log.some((line) => line.includes(NOTICED))

type Losses = 'dropped and made again' | 'restored from a copy an hour old'
async function lose(how: Losses, { influxd, proxy, older }: Stage): Promise<string> {
  if (how === 'dropped and made again') {
    await influxd.query(`DROP DATABASE "${DB}"`)
    await influxd.query(`CREATE DATABASE "${DB}"`)
    return influxd.url
  }
  // Between two requests: no request meets a connection that breaks.
  proxy.retarget(older.url)
  return older.url
}

/** Content equals the truth; resolves with the number of points. */
async function assertRecovered({ world, proxy }: Stage, running: Running): Promise<number> {
  const { clock, api, tailnet } = world
  await running.catchUp()
  const nowNs = clock.freeze()
  await running.until(() => running.service.pipeline.status().watermarkNs === String(nowNs - LAG_NS))
  await running.service.stop()
  return await assertTruth(storedIn({ url: proxy.url, db: DB }), tailnet.truth(originOf(api), nowNs - LAG_NS))
}

const secondsBetween = (fromNs: bigint, toNs: bigint) => Math.round(Number((toNs - fromNs) / 100_000_000n)) / 10

test('what a real InfluxDB lost is noticed and read again', { concurrency: 3 }, async (t) => {
  const cases: Promise<void>[] = []
  for (const how of ['dropped and made again', 'restored from a copy an hour old'] as const) {
    cases.push(
      t.test(`${how} between two polls: within ten minutes, though it was never seen away`, async (t) => {
        // Polls that are three quarters of a second apart come to an end on a busy machine too.
        const one = await stage(t, 40, '30s')
        const { world, first } = one
        const before = await pointsIn(one.proxy.url)
        const left = await pointsIn(await lose(how, one))
        assert.ok(left < before * 0.6, `${left} of ${before}`)
        const lostNs = world.clock.now()
        await first.until(() => hasNoticed(first))
        const seconds = secondsBetween(lostNs, world.clock.now())
        const points = await assertRecovered(one, first)
        t.diagnostic(
          `${how}: ${before} points, ${left} left; noticed after ${seconds} s, then ${points} as the truth has them`,
        )
        assert.ok(seconds <= COMPARED_S, `${seconds} s`)
      }),
      t.test(`${how}, new windows written, then a restart of the service: at the start`, async (t) => {
        const one = await stage(t, 20)
        const { world, first, proxy, open } = one
        const before = await pointsIn(proxy.url)
        const left = await pointsIn(await lose(how, one))
        // New checkpoints carry the newest acknowledgement, and hide nothing.
        const windows = first.service.pipeline.status().totals.windows
        await first.until(() => first.service.pipeline.status().totals.windows >= windows + 3)
        await first.service.stop()
        assert.ok(!hasNoticed(first), 'the running service had no time to notice')
        const startedNs = world.clock.now()
        const second = open()
        await second.until(() => hasNoticed(second))
        const seconds = secondsBetween(startedNs, world.clock.now())
        const points = await assertRecovered(one, second)
        t.diagnostic(
          `${how}, restart: ${before} points, ${left} left; noticed ${seconds} s after the start, then ${points} as the truth has them`,
        )
        assert.ok(seconds <= 60, `${seconds} s`)
      }),
    )
  }
  for (const awayMs of [5_000, 25_000]) {
    for (const isRestarted of [false, true]) {
      const what = `away ${awayMs / 1000} s and back from a copy an hour old${isRestarted ? ', the service restarted meanwhile' : ''}`
      cases.push(
        t.test(`${what}: at once`, async (t) => {
          const one = await stage(t, 20)
          const { world, first, proxy, older, open } = one
          const before = await pointsIn(proxy.url)
          const left = await pointsIn(older.url)
          await proxy.set({ kind: 'refuse' })
          const awayNs = world.clock.now()
          const isOver = () => world.clock.now() >= awayNs + BigInt(awayMs) * 1_000_000n
          await first.until(() => isOver() && isTroubled(first))
          if (isRestarted) await first.service.stop()
          proxy.retarget(older.url)
          await proxy.set(undefined)
          const backNs = world.clock.now()
          const running = isRestarted ? open() : first
          await running.until(() => hasNoticed(running))
          const seconds = secondsBetween(backNs, world.clock.now())
          const points = await assertRecovered(one, running)
          t.diagnostic(
            `${what}: ${before} points, ${left} left; noticed ${seconds} s after it was back, then ${points} as the truth has them`,
          )
          assert.ok(seconds <= 120, `${seconds} s`)
        }),
      )
    }
  }
  await Promise.all(cases)
})
