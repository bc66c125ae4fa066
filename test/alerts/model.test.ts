/** Whatever order records come in, however often windows are read, fail or are read again, whenever the process ends: at the end every alert
 * is what a naive judge makes of the same messages, each counted once. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { endMarks } from './end-marks.ts'
import { type NaiveRule, naive } from './naive.ts'
import { createWorld, MIN, SEC, T0, type Traffic, type World } from './world.ts'

const SEED = Number(process.env['TAILFLUX_TEST_SEED'] ?? 20_261_106)
const RUNS = Number(process.env['TAILFLUX_TEST_RUNS'] ?? 30)
const MINUTES = 80
const GRACE = 30n * SEC

const CASES: { name: string; settings: Record<string, unknown>; rule: NaiveRule }[] = [
  {
    name: 'above',
    settings: { above: '30kB', recoverBelow: '20kB', window: '5m', for: '3m' },
    rule: { is: 'above', threshold: 30_000, recover: 20_000, windowNs: 5n * MIN, forNs: 3n * MIN, stepNs: MIN },
  },
  {
    name: 'below',
    settings: { below: '12kB', recoverAbove: '15kB', window: '10m', within: '40m' },
    rule: {
      is: 'below',
      threshold: 12_000,
      recover: 15_000,
      windowNs: 10n * MIN,
      forNs: 0n,
      stepNs: MIN,
      withinNs: 40n * MIN,
    },
  },
  {
    name: 'silent',
    settings: { silentFor: '4m', within: '30m', kind: 'virtual', for: '1m' },
    rule: { is: 'silent', threshold: 0, recover: 0, windowNs: 4n * MIN, forNs: MIN, stepNs: MIN, withinNs: 30n * MIN },
  },
  {
    name: 'ratio',
    settings: { ratioToPreviousAbove: 1.5, previous: 'hour', window: '6m', atLeast: '10kB', recoverBelow: 1.2 },
    rule: {
      is: 'ratio',
      threshold: 1.5,
      recover: 1.2,
      atLeast: 10_000,
      windowNs: 6n * MIN,
      forNs: 0n,
      stepNs: MIN,
      offsetNs: 60n * MIN,
    },
  },
  {
    name: 'distinct',
    settings: { distinctPeersAbove: 3, window: '3m' },
    rule: { is: 'distinct', threshold: 3, recover: 3, windowNs: 3n * MIN, forNs: 0n, stepNs: MIN },
  },
]

interface Upload {
  readonly message: Traffic
  readonly loggedNs: bigint
}

/** Minutes of one node with traffic, how much of it, and how late it was uploaded. */
const minute = fc.record({
  node: fc.constantFrom('nA', 'nB', 'nC'),
  minute: fc.nat(MINUTES - 1),
  second: fc.nat(59),
  length: fc.integer({ min: 1, max: 12 }),
  tx: fc.integer({ min: 0, max: 9_000 }),
  peers: fc.integer({ min: 1, max: 5 }),
  delay: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 5, max: 12 }) },
    { weight: 1, arbitrary: fc.integer({ min: 13, max: 2_400 }) },
  ),
  copyAfter: fc.option(fc.integer({ min: 1, max: 600 }), { freq: 5, nil: undefined }),
})

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      seconds: fc.integer({ min: 1, max: 700 }),
      fails: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('ahead' as const),
      seconds: fc.integer({ min: 20, max: 200 }),
      skip: fc.integer({ min: 1, max: 900 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('judge' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const), which: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      how: fc.constantFrom('stopped' as const, 'killed' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gap' as const), seconds: fc.integer({ min: 1, max: 200 }) }) },
)

function uploadsOf(minutes: readonly (typeof minute extends fc.Arbitrary<infer T> ? T : never)[]): Upload[] {
  const uploads: Upload[] = []
  const taken = new Set<string>()
  for (const one of minutes) {
    for (let i = 0; i < one.length; i++) {
      const start = T0 + BigInt(one.minute) * MIN + BigInt(one.second) * SEC + BigInt(i) * 5n * SEC
      const dst = `100.64.1.${(i % one.peers) + 1}:443`
      // One node has one record of a moment.
      if (taken.has(`${one.node} ${start}`)) continue
      taken.add(`${one.node} ${start}`)
      const message = { node: one.node, start, tx: one.tx, dst }
      const loggedNs = start + BigInt(one.delay) * SEC
      uploads.push({ message, loggedNs })
      if (one.copyAfter !== undefined) uploads.push({ message, loggedNs: loggedNs + BigInt(one.copyAfter) * SEC })
    }
  }
  return uploads
}

/** Reads what the ledger misses, oldest first, until nothing is missing below `toNs`. */
function readMissing(world: World, uploads: readonly Upload[], toNs: bigint): void {
  for (const { fromNs, toNs: end } of world.ledger.missing(T0, toNs)) read(world, uploads, fromNs, end)
}

function between(uploads: readonly Upload[], fromNs: bigint, toNs: bigint): Traffic[] {
  return uploads.filter(({ loggedNs }) => loggedNs >= fromNs && loggedNs <= toNs).map(({ message }) => message)
}

function read(world: World, uploads: readonly Upload[], fromNs: bigint, toNs: bigint): void {
  if (fromNs < toNs) world.read({ fromNs, toNs }, between(uploads, fromNs, toNs))
}

for (const { name, settings, rule } of CASES) {
  test(`${name}: the order of arrival changes nothing`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(minute, { minLength: 3, maxLength: 40 }),
        fc.array(step, { minLength: 5, maxLength: 40 }),
        async (minutes, steps) => {
          const uploads = uploadsOf(minutes)
          const world = await createWorld({ settings: { rules: [{ name: 'rule', ...settings }] } })
          try {
            const endNs = T0 + BigInt(MINUTES + 60) * MIN
            const readWindows: [bigint, bigint][] = []
            for (const one of steps) {
              const missing = world.ledger.missing(T0, endNs)[0]
              if (one.do === 'judge') await world.judge()
              else if (one.do === 'restart') {
                await world.restart(one.how)
                // What alerts had not saved comes again with the late pass.
                if (one.how === 'killed')
                  for (const { fromNs, toNs } of world.ledger.settled())
                    world.read({ fromNs, toNs, pass: 2, queue: 'late' }, between(uploads, fromNs, toNs))
              } else if (one.do === 'again') {
                const [fromNs, toNs] = readWindows[one.which % Math.max(1, readWindows.length)] ?? [0n, 0n]
                if (fromNs < toNs) world.read({ fromNs, toNs, pass: 2, queue: 'late' }, between(uploads, fromNs, toNs))
              } else if (missing) {
                const from = one.do === 'ahead' ? missing.fromNs + BigInt(one.skip) * SEC : missing.fromNs
                const to = from + BigInt(one.seconds) * SEC
                if (to > missing.toNs) continue
                if (one.do === 'gap') {
                  const nowNs = world.clock.now()
                  world.ledger.openGap({ fromNs: from, toNs: to }, 'timeout', nowNs, nowNs)
                  await world.judge()
                  // Beyond it things go on for a while, and then it can be read.
                  read(world, uploads, to, to + 300n * SEC)
                  await world.judge()
                  read(world, uploads, from, to)
                  continue
                }
                const open = world.open({ fromNs: from, toNs: to }, between(uploads, from, to))
                if (one.do === 'read' && one.fails) open.fail()
                else {
                  open.done()
                  readWindows.push([from, to])
                }
              }
            }
            readMissing(world, uploads, endNs)
            await world.judge()
            await world.judge()
            await compare(world, rule, uploads, endNs)
          } finally {
            await world.close()
          }
        },
      ),
      { seed: SEED, numRuns: RUNS },
    )
  })
}

async function compare(world: World, rule: NaiveRule, uploads: readonly Upload[], endNs: bigint): Promise<void> {
  const messages = [...new Set(uploads.map(({ message }) => message))]
  const judgedNs = ((endNs - GRACE) / rule.stepNs) * rule.stepNs
  const wanted = naive(rule, messages, T0, judgedNs, (fromNs, toNs) => fromNs >= T0 && toNs + GRACE <= endNs)
  const told = new Map((await endMarks(world)).map((one) => [one.key, one]))
  for (const [node, alert] of wanted) {
    const mark = told.get(JSON.stringify([node]))
    const isOld = alert.state === 'inactive' && alert.resolvedNs < endNs - 60n * MIN
    if (mark === undefined) {
      assert.ok(
        isOld,
        `${node} should be ${JSON.stringify(alert, (_, v) => (typeof v === 'bigint' ? Number((v - T0) / SEC) : v))}`,
      )
      continue
    }
    const seen = { state: mark.state, activeNs: mark.activeNs, firedNs: mark.firedNs, resolvedNs: mark.resolvedNs }
    assert.deepEqual(seen, alert, node)
  }
}
