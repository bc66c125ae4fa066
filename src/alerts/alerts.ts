/** alerts/: rules about traffic, evaluated on final minutes.
 *
 *   rollup -> minutes -> views -> rings      what each group sent and received, minute by minute
 *   fill                                     the same from the database, once after a start
 *   judge                                    states of alerts, step by step on the time of the minutes
 *   dispatcher -> alertmanager, webhook, …   whoever has to know; events
 *   store                                    states, and what was notified, in the state file
 *
 * A minute that is told is only added up. Evaluating, saving and notifying happen in a loop of their own, which gives way to the line. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import { max, min } from '../base/bigint.ts'
import { type Clock, HOUR, MINUTE, MS, SECOND } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { FinalMinute, MinuteReader } from '../rollup/minute-reader.ts'
import type { RowStore } from '../rollup/row-store.ts'
import type { SecretRegistry } from '../secrets/redactor.ts'
import type { Sink } from '../sink/sink.ts'
import { groupOf } from './alert.ts'
import { createCatchUp } from './catch-up.ts'
import type { AlertsConfig } from './config.ts'
import { createCompleteness } from './evaluate/completeness.ts'
import { createFill } from './evaluate/fill.ts'
import { keyOfValues } from './evaluate/groups.ts'
import { prune } from './evaluate/prune.ts'
import { createReadings } from './evaluate/readings.ts'
import { createEventWriter } from './event-writer.ts'
import { eventLine } from './events.ts'
import { createJudge, type RuleState, type Transition } from './judge.ts'
import { type Mark, NEVER } from './machine.ts'
import type { AlertsMetrics } from './metrics.ts'
import { createDispatcher } from './notify/dispatcher.ts'
import { createLargestEdges } from './notify/largest-edges.ts'
import { notification, notifications, summaryOf } from './notify/notifications.ts'
import { createNotifiers } from './notify/notifiers.ts'
import { periodStart } from './rules/rule.ts'
import { type AlertsStatus, alertStatuses, ruleStatus } from './status.ts'
import { createAlertsStore } from './store.ts'
import { type Orphan, storedAlert, storedOrphan } from './store-alerts.ts'
import type { GroupLabels } from './summary.ts'

export interface AlertsOptions {
  /** The value of the tag `tailnet`. */
  readonly tailnet: string
  /** Of the ledger: the same when the tailnet is renamed. */
  readonly tailnetId: string
  /** How far behind the present final minutes are when all is well (poll.lag and the longest time between two polls), ms. */
  readonly normalLagMs: number
  /** Names of `networks`. */
  readonly networks: readonly string[]
}

export interface AlertsDeps {
  readonly stateFile: StateFile
  /** To read only: receipts are the pipeline's. */
  readonly ledger: Pick<Ledger, 'settled' | 'gaps' | 'originNs' | 'watermarkNs' | 'unsettled'>
  /** What was made of minutes before this process. */
  readonly rows: Pick<RowStore, 'rows' | 'summed' | 'reads'>
  /** The directory has a node of this id. */
  readonly isNode: (id: string) => boolean
  readonly sink: Pick<Sink, 'write'>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: AlertsMetrics
  readonly health: {
    set(component: 'alerts', status: 'ok' | 'warning', code?: string, text?: string, condition?: string): void
  }
  readonly secrets: Pick<SecretRegistry, 'excerpt'>
  /** From 0 to 1; for jitter. */
  readonly random: () => number
  /** Something inside failed in its own time: this instance is of no use any more. */
  readonly onBroken: (error: unknown) => void
}

export interface Alerts extends MinuteReader {
  /** Reads the state back and begins to evaluate and notify. Throws a CollectorError (stage `ledger`). */
  start(): Promise<void>
  /** Evaluates what can be evaluated now, saves and notifies; the loop does the same by itself. */
  evaluate(): Promise<readonly Transition[]>
  status(): AlertsStatus
  /** Every alert that is not quite forgotten, as it is at the step evaluated last. */
  marks(): readonly (Mark & { readonly rule: string; readonly key: string })[]
  /** What a rule compares, at the step evaluated last, for every group that it is about; NaN where there is nothing to compare. */
  values(rule: string): readonly { readonly group: GroupLabels; readonly value: number }[]
  /** Saves what is not saved yet. Idempotent. */
  stop(): Promise<void>
  /** Ends at once and saves nothing: what is in memory may be wrong. Idempotent. */
  giveUp(): Promise<void>
}

/** The state is saved with what begins or ends, and else this often. */
const SAVE_MS = 60_000
const PRUNE_MS = 60_000
const IDLE_MS = 1_000
const FILL_BACKOFF = { minMs: 1_000, maxMs: 60_000 }
const WOKEN = new Error('woken')
/** How the log tells what happened; what is merely corrected is not told. */
const MESSAGES: Partial<Record<Transition['change'], Record<Transition['is'], string>>> = {
  new: { firing: 'alert fires', resolved: 'alert is over' },
  refuted: { firing: 'alert is taken back', resolved: 'end of alert is taken back' },
}

/** Inert until `start`. */
export function createAlerts(config: AlertsConfig, options: AlertsOptions, deps: AlertsDeps): Alerts {
  const { clock, log, ledger, metrics, stateFile, health } = deps
  const { tailnet, tailnetId } = options
  const latenessNs = BigInt(config.lateness) * MS
  const rules = config.rules.map(({ rule }) => rule).filter((rule) => !rule.isPaused)
  const limits = { seriesMax: config.seriesMax, latenessNs, networks: new Set(options.networks) }
  const { views, readings, numbers, peers } = createReadings(rules, limits)
  const completeness = createCompleteness(ledger)
  const judge = createJudge({ readings, completeness, monotonicMs: () => clock.monotonicMs() })
  const store = createAlertsStore(stateFile)
  const stopping = new AbortController()
  /** Minutes that were told before the rings were filled, and whether they have a gap. */
  const told = new Map<bigint, boolean>()
  const fill = createFill({
    ...{ rows: deps.rows, views, numbers, isNode: deps.isNode, signal: stopping.signal },
    isTold: (startNs) => told.has(startNs),
    seenSinceNs: () => leastOf(judge.rules.filter(({ reading }) => reading.lastSeen !== undefined)),
  })
  const notifiers = createNotifiers(config.notify, {
    clock,
    random: deps.random,
    pageUrl: config.url,
    onAttempt: (kind, code, durationMs) => metrics.attempt(kind, code, durationMs),
    secrets: deps.secrets,
  })
  const events = createEventWriter(deps.sink, { clock, log, onBroken: deps.onBroken }, stopping.signal)
  const catchUp = createCatchUp(clock, options.normalLagMs)
  const dispatcher = createDispatcher({
    notifiers,
    alerts: () => notifications(judge.rules, orphans, tailnet),
    edges: createLargestEdges({ store: deps.rows, isNode: deps.isNode, networks: limits.networks, log }),
    isCatchingUp: () => catchUp.isCatchingUp,
    onNotified: () => wake(),
    clock,
    log,
    metrics,
  })

  let orphans: Orphan[] = []
  /** Every minute before this one was told, or has no rows. */
  let finalNs: bigint | undefined
  let isFilled = false
  let fillFailures = 0
  let wasCut = false
  /** The oldest rows that are known of; what a quota counts begins here, if it is later than its period. */
  let oldestNs: bigint | undefined
  let lateMinutes = 0
  let waking = Promise.withResolvers<void>()
  let working: Promise<void> | undefined
  let running: Promise<readonly Transition[]> | undefined
  let isStarted = false
  let savedMs = clock.monotonicMs()
  let prunedMs = clock.monotonicMs()

  /** Minutes before this one do not count again. It moves after an evaluation: what came late is evaluated before, however far it moves at once. */
  let horizonNs = 0n

  function wake(): void {
    waking.resolve()
  }

  function minute(one: FinalMinute): void {
    const { startNs } = one
    if (startNs < horizonNs) {
      lateMinutes += 1
      metrics.ignored(1)
      return
    }
    const minute = Number(startNs / MINUTE)
    numbers.nodes.begin()
    numbers.edges.begin()
    one.eachNode((row) => numbers.nodes.node(row))
    one.eachEdge((row) => numbers.edges.edge(row))
    if (!isFilled) told.set(startNs, one.hasGap)
    const isPast = isFilled && startNs + MINUTE <= judge.judgedNs
    for (const view of views) {
      view.take(minute)
      for (const ring of [...view.sums, ...view.items]) {
        const ids = ring.commit(minute)
        if (isPast && ids.length > 0) judge.changed(ring, startNs, ids)
      }
    }
    if (completeness.told(startNs, one.hasGap)) judge.again(startNs)
  }

  function finalTo(ns: bigint): void {
    const isNews = finalNs === undefined || ns > finalNs
    finalNs = finalNs === undefined ? ns : max(finalNs, ns)
    if (isFilled) {
      completeness.advance(finalNs)
      const filledNs = completeness.recheck()
      if (filledNs !== undefined) judge.again(filledNs)
    }
    if (isNews) wake()
  }

  /** Rings as far as the database has them. */
  async function fillNow(toNs: bigint): Promise<void> {
    const isRead = (await deps.rows.reads(stopping.signal)) !== 'nothing'
    // A node's clock may be an hour ahead.
    const newestNs = max(clock.now(), ledger.settled().at(-1)?.toNs ?? toNs) + HOUR
    if (isRead) oldestNs = (await fill.run(toNs, newestNs)).oldestNs
    completeness.begin(isRead ? 0n : toNs, toNs)
    completeness.advance(finalNs ?? toNs)
    for (const [startNs, hasGap] of told) completeness.told(startNs, hasGap)
    told.clear()
    // A first installation begins with the origin, a rule that is new with what comes.
    const originNs = ledger.originNs()
    judge.begin(startedAtNs ?? originNs ?? toNs)
    if (judge.judgedNs > 0n) catchUp.begin(judge.judgedNs)
    isFilled = true
    save()
    horizonNs = max(0n, judge.judgedNs - latenessNs)
    // What was told shortly before a crash may be in the rows and not in the states.
    if (wasCut) judge.again(horizonNs)
  }
  /** How far everything was read when this process began; undefined for a first installation. */
  let startedAtNs: bigint | undefined

  /** Fills the rings, or says why not and waits. */
  async function tryToFill(toNs: bigint): Promise<void> {
    try {
      await fillNow(toNs)
      health.set('alerts', 'ok', undefined, undefined, 'fill')
      return
    } catch (error) {
      if (stopping.signal.aborted) return
      if (!(error instanceof CollectorError)) throw error
      fillFailures += 1
      const retryMs = backoffAfter(fillFailures, FILL_BACKOFF)
      const text = `Alerts wait: after a start they read recent traffic from the database, which does not answer. ${error.message}`
      health.set('alerts', 'warning', error.code, text, 'fill')
      log.warn({ code: error.code, retryMs, err: error }, 'alerts wait for the database')
      await clock.sleep(retryMs, stopping.signal).catch(() => undefined)
    }
  }

  async function round(): Promise<readonly Transition[]> {
    let transitions: readonly Transition[] = []
    if (isFilled && finalNs !== undefined) {
      const beganMs = clock.monotonicMs()
      const before = judge.judgedNs
      const toNs = finalNs
      transitions = await judge.run(toNs, horizonNs)
      horizonNs = max(horizonNs, toNs - latenessNs)
      for (const transition of transitions) record(transition)
      catchUp.follow(finalNs)
      if (judge.judgedNs > before) {
        metrics.evaluated(judge.steps, clock.monotonicMs() - beganMs)
        metrics.position(Number(judge.judgedNs / MS) / 1000)
      }
      tidy()
      if (judge.judgedNs > before || transitions.length > 0) measure()
    }
    if (clock.monotonicMs() - savedMs >= SAVE_MS || transitions.length > 0) save()
    events.write()
    dispatcher.wake()
    return transitions
  }

  function record(transition: Transition): void {
    const { alert, group, is, change, mark, value } = transition
    const what = MESSAGES[change]?.[is]
    if (what !== undefined) log.info({ rule: alert.rule.name, group, value, at: isoOf(mark.atNs) }, what)
    events.add(eventLine(transition, tailnet))
  }

  /** Alerts that are over, old and notified go; so do orphans. */
  function tidy(): void {
    for (const state of judge.rules) {
      for (const [id, alert] of state.alerts) {
        const mark = alert.marks.at(-1) ?? NEVER
        const isOld = mark.state === 'inactive' && alert.marks.length === 1 && mark.atNs < horizonNs
        const isPast = alert.seenNs + alert.rule.windowNs < max(state.judgedNs, 1n)
        if (!isOld || !isPast) continue
        const one = notification(alert, tailnet)
        if (!dispatcher.isDone(one)) continue
        state.alerts.delete(id)
        dispatcher.forget(one.fingerprint)
      }
    }
    orphans = orphans.filter((orphan) => [...orphan.notified.values()].some(({ resolvedNs }) => resolvedNs === 0n))
    if (clock.monotonicMs() - prunedMs < PRUNE_MS) return
    prunedMs = clock.monotonicMs()
    prune({ views, rules: judge.rules, peers, finalNs: finalNs ?? 0n, horizonNs })
  }

  function save(): boolean {
    const alerts = judge.rules.flatMap((state) =>
      [...state.alerts.values()].map((alert) => storedAlert(alert, tailnet, summaryOf(alert, tailnet))),
    )
    savedMs = clock.monotonicMs()
    try {
      store.save(judge.rules, [...alerts, ...orphans.map(storedOrphan)], events.lines)
      return true
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      // The line notices by itself; alerts go on from memory, and are sent.
      metrics.stateWriteFailed()
      log.error({ code: error.code, err: error }, 'state of alerts cannot be written')
      return false
    }
  }

  function measure(): void {
    for (const state of judge.rules) {
      const { name, pending, firing, series, overflowed } = ruleStatus(state)
      metrics.rule(name, { pending, firing, series, overflowed })
    }
    metrics.kept(memoryBytes())
  }

  function memoryBytes(): number {
    return views.reduce((sum, { bytes }) => sum + bytes, numbers.edges.bytes + numbers.nodes.bytes + peers.bytes)
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted) {
      waking = Promise.withResolvers()
      if (!isFilled && finalNs !== undefined) await tryToFill(finalNs)
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

  async function end(): Promise<void> {
    stopping.abort(new Error('stopping'))
    wake()
    await working
    await dispatcher.stop()
  }

  /** Since when a quota counts, if that is later than its period; undefined else. */
  function countsSinceNs({ rule, judgedNs }: RuleState): bigint | undefined {
    const per = rule.form.needs.since
    if (per === undefined || judgedNs === 0n) return undefined
    const known = [oldestNs, ledger.originNs()].filter((ns) => ns !== undefined)
    const beginNs = periodStart(judgedNs, per)
    const sinceNs = known.length === 0 ? undefined : known.reduce((least, ns) => min(least, ns))
    return sinceNs !== undefined && sinceNs > beginNs ? sinceNs : undefined
  }

  return {
    minute,
    finalTo,
    async start() {
      const loaded = store.load(judge.rules, { tailnet, ledger: tailnetId }, clock.now())
      orphans = loaded.orphans
      wasCut = loaded.wasCut
      if (wasCut) log.warn('alerts ended without saving: everything within alerts.lateness is evaluated again')
      events.restore(loaded.events)
      metrics.rules(rules.map((rule) => rule.name))
      // A crash before the first save changes nothing.
      startedAtNs = loaded.wasCut && loaded.isNew ? undefined : ledger.watermarkNs()
      catchUp.begin(judge.judgedNs)
      isStarted = true
      dispatcher.start()
      working = work().catch(deps.onBroken)
    },
    evaluate,
    status: () => ({
      rules: judge.rules.map((state) => ruleStatus(state, countsSinceNs(state))),
      alerts: alertStatuses(judge.rules, tailnet, clock.now()),
      notifiers: dispatcher.status(),
      evaluated: judge.judgedNs === 0n ? null : isoOf(judge.judgedNs),
      latenessSeconds: Number(latenessNs / SECOND),
      catchingUp: catchUp.isCatchingUp,
      waiting: !isFilled,
      lateMinutes,
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
      const state = judge.rules.find(({ rule }) => rule.name === name)
      if (state === undefined) return []
      const { groups } = state.reading.view
      return [...groups.ids()].flatMap((id) => {
        const value = state.reading.valueAt(id, state.judgedNs)
        const { values = [], names } = groups.get(id) ?? {}
        return value === undefined ? [] : [{ group: groupOf(state.rule, values, names), value }]
      })
    },
    async stop() {
      if (!isStarted || stopping.signal.aborted) return
      await end()
      if (save() && judge.isIdle) store.ended()
    },
    giveUp: end,
  }
}

/** How far all of these rules were evaluated; undefined without any. */
function leastOf(states: readonly RuleState[]): bigint | undefined {
  return states.length === 0 ? undefined : min(states[0]!.judgedNs, ...states.map(({ judgedNs }) => judgedNs))
}
