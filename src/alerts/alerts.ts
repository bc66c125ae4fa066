/** alerts/: rules about traffic, judged on the line's own points as they pass.
 *
 *   observer -> collector -> sums, presence, distinct items, sightings     what counts, once per message, when its window is done
 *   coverage                                                          how far everything was read
 *   judge                                                             states of alerts, step by step on the messages' own time
 *   teller -> alertmanager, webhook, ntfy; events                     whoever has to know
 *   store                                                             all of it in the state file
 *
 * The observer only adds up. Judging, saving and telling happen in a loop of their own, which gives way to the line. */
import type { Logger } from 'pino'
import { max } from '../base/bigint.ts'
import { type Clock, MINUTE, MS, SECOND } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { NodeNames } from '../directory/node-names.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { Observer } from '../observers/observers.ts'
import type { SecretRegistry } from '../secrets/redactor.ts'
import type { Sink } from '../sink/sink.ts'
import type { Device } from '../source/source.ts'
import { groupOf } from './alert.ts'
import { createCatchUp } from './catch-up.ts'
import { createCollector } from './collector.ts'
import type { AlertsConfig } from './config.ts'
import { createCoverage } from './coverage.ts'
import { createEventWriter } from './event-writer.ts'
import { eventLine } from './events.ts'
import type { FeedLimits } from './feed.ts'
import { createIdentities } from './identities.ts'
import { createJudge, type Transition } from './judge.ts'
import { type Mark, NEVER } from './machine.ts'
import type { AlertsMetrics } from './metrics.ts'
import { createDispatcher } from './notify/dispatcher.ts'
import { notification, notifications, summaryOf } from './notify/notifications.ts'
import { timeOf } from './notify/notifier.ts'
import { createNotifiers } from './notify/notifiers.ts'
import { createPeople } from './people.ts'
import { createPruner } from './prune.ts'
import { createScopes } from './scope.ts'
import { keyOfValues } from './series.ts'
import { type AlertsStatus, alertStatuses, ruleStatus } from './status.ts'
import { createAlertsStore, type Kept } from './store.ts'
import { type Orphan, storedAlert, storedOrphan } from './store-alerts.ts'
import type { GroupLabels } from './summary.ts'

export interface AlertsOptions {
  /** The value of the tag `tailnet`. */
  readonly tailnet: string
  /** How far behind the present the watermark is when all is well (poll.lag and the longest time between two polls), ms. */
  readonly normalLagMs: number
  /** How long after its end a step is judged; 30 s unless a test needs another. */
  readonly graceMs?: number
  readonly limits?: FeedLimits
}

export interface AlertsDeps {
  readonly stateFile: StateFile
  /** To read only: receipts are the pipeline's. */
  readonly ledger: Pick<Ledger, 'settled' | 'gaps' | 'originNs' | 'watermarkNs'>
  readonly sink: Pick<Sink, 'write'>
  /** What nodes are called. */
  readonly names: NodeNames
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: AlertsMetrics
  readonly secrets: Pick<SecretRegistry, 'excerpt'>
  /** From 0 to 1; for jitter. */
  readonly random: () => number
  /** Something inside failed in its own time: this instance is of no use any more. */
  readonly onBroken: (error: unknown) => void
}

export interface Alerts {
  /** For the pipeline. */
  readonly observer: Observer
  /** Takes an answer of the devices API: whose nodes are, and which addresses are theirs. */
  devices(devices: readonly Device[]): void
  /** Reads the state back and begins to judge and tell. Call before the first window is read. Throws a CollectorError (stage `ledger`). */
  start(): Promise<void>
  /** Judges what can be judged now, saves and tells; the loop does the same by itself. */
  evaluate(): Promise<readonly Transition[]>
  status(): AlertsStatus
  /** Every alert that is not quite forgotten, as it is at the step judged last. */
  marks(): readonly (Mark & { readonly rule: string; readonly key: string })[]
  /** What a rule compares, at the step judged last, for every group that it is about; NaN where there is nothing to compare. */
  values(rule: string): readonly { readonly group: GroupLabels; readonly value: number }[]
  /** Saves what is not saved yet. Idempotent. */
  stop(): Promise<void>
  /** Ends at once and saves nothing: what is in memory may be wrong. Idempotent. */
  giveUp(): Promise<void>
}

const GRACE_MS = 30_000
/** Messages known as counted: 8 bytes each, at most half full. More make the lateness that counts shorter. */
const IDENTITIES_MAX = 4_000_000
/** The state is saved with the steps that it brings, and after so long without one. */
const SAVE_MS = 90_000
const SAVE_WITH_STEPS_MS = 30_000
const PRUNE_MS = 60_000
const PRUNE_MS_MAX = 600_000
const IDLE_MS = 1_000
/** What was not saved before a crash lies within so much. */
const UNSAVED_NS = 24n * 60n * MINUTE
const WOKEN = new Error('woken')
/** How the log tells what happened; what is merely corrected is no news. */
const MESSAGES: Partial<Record<Transition['change'], Record<Transition['is'], string>>> = {
  new: { firing: 'alert fires', resolved: 'alert is over' },
  refuted: { firing: 'alert is taken back', resolved: 'end of alert is taken back' },
}

/** Inert until `start`. */
export function createAlerts(config: AlertsConfig, options: AlertsOptions, deps: AlertsDeps): Alerts {
  const { clock, log, ledger, metrics, stateFile } = deps
  const { tailnet } = options
  const graceNs = BigInt(options.graceMs ?? GRACE_MS) * MS
  const latenessNs = BigInt(config.lateness) * MS
  const rules = config.rules.map(({ rule }) => rule).filter((rule) => !rule.isPaused)
  const { scopes, readings } = createScopes(rules, { seriesMax: config.seriesMax, latenessNs })
  const identities = createIdentities()
  const coverage = createCoverage(ledger)
  const people = createPeople()
  const judge = createJudge({ graceNs }, { readings, coverage, people, monotonicMs: () => clock.monotonicMs() })
  const ignored = { late: 0, ahead: 0 }
  const collector = createCollector(
    { latenessNs, graceNs, ...options.limits },
    {
      scopes,
      identities,
      coverage,
      people,
      directory: deps.names,
      judgedNs: () => judge.judgedNs,
      onAdded: (added) => judge.added(added),
      onFilled: (fromNs) => judge.filled(fromNs - graceNs),
      onIgnored(reason, messages) {
        ignored[reason] += messages
        metrics.ignored(reason, messages)
      },
      onDone: () => wake(),
    },
  )
  const pruner = createPruner({ scopes, readings, judge, collector })
  const kept: Kept = { tailnet, coverage, identities, scopes, people, judge }
  const store = createAlertsStore(stateFile)
  const notifiers = createNotifiers(config.notify, {
    clock,
    random: deps.random,
    pageUrl: config.url,
    onAttempt: (kind, code, durationMs) => metrics.attempt(kind, code, durationMs),
    secrets: deps.secrets,
  })
  const stopping = new AbortController()
  const events = createEventWriter(deps.sink, { clock, log, onBroken: deps.onBroken }, stopping.signal)
  const catchUp = createCatchUp(clock, options.normalLagMs)
  let orphans: Orphan[] = []
  /** Read before a crash and not saved. */
  let unsaved: readonly Interval[] = []
  const teller = createDispatcher({
    notifiers,
    alerts: () => notifications(judge.rules, orphans, tailnet),
    isCatchingUp: () => catchUp.isCatchingUp,
    onNotified: () => wake(),
    clock,
    log,
    metrics,
  })

  let waking = Promise.withResolvers<void>()
  let working: Promise<void> | undefined
  let running: Promise<readonly Transition[]> | undefined
  let isStarted = false
  let savedMs = clock.monotonicMs()
  let prunedMs = clock.monotonicMs()

  function wake(): void {
    waking.resolve()
  }

  /** How far may be judged. Undefined before anything is known. */
  function watermark(): bigint | undefined {
    if (coverage.sinceNs === undefined) {
      // A first installation: everything that is read is seen.
      const originNs = ledger.originNs()
      if (originNs === undefined) return undefined
      coverage.begin(originNs)
      judge.begin(originNs)
    }
    const ns = coverage.watermarkNs([...collector.inFlight, ...collector.waiting])
    return ns === undefined ? undefined : max(ns, catchUp.watermarkNs)
  }

  /** Windows that are done wait for each other: until a step can be judged with them, or has to be judged again,
   * or the state is saved. */
  function settleWhenDue(): boolean {
    if (collector.waiting.length === 0) return false
    const nextNs = judge.nextNs
    const reachNs = coverage.watermarkNs(collector.inFlight)
    const hasStep = nextNs === undefined || reachNs === undefined || nextNs + graceNs <= reachNs
    const isDue = hasStep || collector.isLate || clock.monotonicMs() - savedMs >= SAVE_MS
    if (isDue) collector.settle()
    return isDue
  }

  function forgetOld(watermarkNs: bigint): void {
    collector.setHorizon(watermarkNs - latenessNs)
    identities.forgetBefore(collector.horizonNs)
    const shrunkNs = identities.shrinkTo(IDENTITIES_MAX)
    if (shrunkNs === undefined) return
    collector.setHorizon(shrunkNs)
    log.warn(
      { latenessSeconds: Number((watermarkNs - shrunkNs) / SECOND) },
      'more messages than alerts can remember: late records count for a shorter time',
    )
  }

  async function round(): Promise<readonly Transition[]> {
    const isNews = settleWhenDue()
    const watermarkNs = watermark()
    let transitions: readonly Transition[] = []
    if (watermarkNs !== undefined) {
      const beganMs = clock.monotonicMs()
      const before = judge.judgedNs
      // What came late is judged again before the horizon moves past it, however far it moves at once.
      transitions = await judge.run(watermarkNs, collector.horizonNs)
      forgetOld(watermarkNs)
      for (const transition of transitions) record(transition)
      catchUp.follow(watermarkNs)
      if (judge.judgedNs > before) {
        metrics.evaluated(judge.steps, clock.monotonicMs() - beganMs)
        metrics.position(Number(judge.judgedNs / MS) / 1000)
      }
    }
    tidy()
    const isDue = clock.monotonicMs() - savedMs >= (isNews ? SAVE_WITH_STEPS_MS : SAVE_MS)
    if (isDue || transitions.length > 0) save()
    if (isNews || transitions.length > 0) measure()
    events.write()
    teller.wake()
    return transitions
  }

  function record(transition: Transition): void {
    const { alert, group, is, change, mark, value } = transition
    const what = MESSAGES[change]?.[is]
    if (what !== undefined) log.info({ rule: alert.rule.name, group, value, at: timeOf(mark.atNs) }, what)
    events.add(eventLine(transition, tailnet))
  }

  /** Alerts that are over, old and told go; so do orphans. */
  function tidy(): void {
    const horizonNs = collector.horizonNs
    for (const state of judge.rules) {
      for (const [id, alert] of state.alerts) {
        const mark = alert.marks.at(-1) ?? NEVER
        const isOld = mark.state === 'inactive' && alert.marks.length === 1 && mark.atNs < horizonNs
        const isPast = alert.seenNs + alert.rule.windowNs < max(state.judgedNs, 1n)
        if (!isOld || !isPast) continue
        const one = notification(alert, tailnet)
        if (!teller.isDone(one)) continue
        state.alerts.delete(id)
        teller.forget(one.fingerprint)
      }
    }
    if (orphans.length > 0) {
      orphans = orphans.filter((orphan) => [...orphan.notified.values()].some(({ resolvedNs }) => resolvedNs === 0n))
    }
    const restedMs = clock.monotonicMs() - prunedMs
    // Best when nothing waits: what waits has numbers of groups in hand.
    if (restedMs < PRUNE_MS || (collector.waiting.length > 0 && restedMs < PRUNE_MS_MAX)) return
    prunedMs = clock.monotonicMs()
    collector.settle()
    pruner.prune()
  }

  function save(): boolean {
    collector.settle()
    const alerts = judge.rules.flatMap((state) =>
      [...state.alerts.values()].map((alert) => storedAlert(alert, tailnet, summaryOf(alert, tailnet))),
    )
    try {
      store.save(kept, [...alerts, ...orphans.map(storedOrphan)], events.lines, max(collector.horizonNs, 0n))
      savedMs = clock.monotonicMs()
      return true
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      // The line notices by itself; alerts go on from memory, and are told.
      metrics.stateWriteFailed()
      log.error({ code: error.code, err: error }, 'state of alerts cannot be written')
      savedMs = clock.monotonicMs()
      return false
    }
  }

  function measure(): void {
    for (const state of judge.rules) {
      const { name, pending, firing, series, overflowed } = ruleStatus(state)
      metrics.rule(name, { pending, firing, series, overflowed })
    }
    metrics.kept(memoryBytes(), identities.count)
  }

  function memoryBytes(): number {
    return identities.bytes + collector.bytes + pruner.bytes()
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted) {
      waking = Promise.withResolvers()
      await evaluate()
      const patience = new AbortController()
      const signal = AbortSignal.any([stopping.signal, patience.signal])
      await Promise.race([waking.promise, clock.sleep(IDLE_MS, signal).catch(() => undefined)])
      // With a reason of our own: to make one costs more than the round.
      patience.abort(WOKEN)
    }
  }

  function evaluate(): Promise<readonly Transition[]> {
    running ??= round().finally(() => {
      running = undefined
    })
    return running
  }

  /** Between the last save and the end of the process windows were done that nothing is known of. They count as never read: what can only be
   * told with them stays as it is, until the late pass brings them, or until they lie before the window of a rule. */
  function crashed(endNs: bigint): void {
    unsaved = coverage.missed(endNs - UNSAVED_NS, endNs)
    log.warn(
      { unreadSeconds: Number(unreadNs() / SECOND) },
      'alerts ended without saving and restart: what fires keeps firing, and rules wait until their whole window was read again',
    )
  }

  function unreadNs(): bigint {
    return unsaved.reduce((sum, { fromNs, toNs }) => sum + coverage.unreadNs(fromNs, toNs), 0n)
  }

  async function end(): Promise<void> {
    stopping.abort(new Error('stopping'))
    wake()
    await working
    await teller.stop()
  }

  return {
    observer: collector,
    devices: (devices) => people.observe(devices),
    async start() {
      const loaded = store.load(kept, clock.now())
      // A crash before the first save of a first installation.
      const originNs = ledger.originNs()
      if (loaded.wasCut && coverage.sinceNs === undefined && originNs !== undefined) {
        coverage.begin(originNs)
        judge.begin(originNs)
      }
      orphans = loaded.orphans
      events.restore(loaded.events)
      metrics.rules(rules.map((rule) => rule.name))
      const watermarkNs = ledger.watermarkNs()
      if (watermarkNs !== undefined) {
        coverage.begin(watermarkNs)
        judge.begin(max(watermarkNs, coverage.sinceNs ?? watermarkNs))
        if (loaded.wasCut) crashed(ledger.settled().at(-1)?.toNs ?? watermarkNs)
      }
      // From here on a crash loses only what is not saved: the file says since when we look.
      save()
      catchUp.begin(judge.judgedNs)
      isStarted = true
      teller.start()
      working = work().catch(deps.onBroken)
    },
    evaluate,
    status: () => ({
      rules: judge.rules.map(ruleStatus),
      alerts: alertStatuses(judge.rules, tailnet, clock.now()),
      notifiers: teller.status(),
      evaluated: judge.judgedNs === 0n ? null : timeOf(judge.judgedNs),
      latenessSeconds: Number(
        (catchUp.watermarkNs > 0n ? max(0n, catchUp.watermarkNs - collector.horizonNs) : latenessNs) / SECOND,
      ),
      catchingUp: catchUp.isCatchingUp,
      unsavedSeconds: Number(unreadNs() / SECOND),
      ignored: { ...ignored },
      memoryBytes: memoryBytes(),
    }),
    marks: () =>
      judge.rules.flatMap((state) =>
        [...state.alerts.values()].map((alert) => ({
          ...(alert.marks.at(-1) ?? NEVER),
          rule: state.rule.name,
          key: keyOfValues(alert.values),
        })),
      ),
    values(name) {
      collector.settle()
      const state = judge.rules.find(({ rule }) => rule.name === name)
      if (state === undefined) return []
      const { series } = state.reading.scope
      return [...series.ids()].flatMap((id) => {
        const value = state.meter.valueAt(id, state.judgedNs)
        return value === undefined ? [] : [{ group: groupOf(state.rule, series.valuesOf(id), people), value }]
      })
    },
    async stop() {
      if (!isStarted || stopping.signal.aborted) return
      await end()
      if (save()) store.ended()
    },
    giveUp: end,
  }
}
