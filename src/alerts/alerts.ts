/** alerts/: rules about traffic, evaluated on final minutes.
 *
 *   evaluation: minutes -> views -> rings    what each group sent and received, minute by minute
 *     fill                                   the same from the database, once after a start
 *     judge                                  states of alerts, step by step on the time of the minutes
 *   dispatcher -> alertmanager, webhook, …   whoever has to know; events
 *   store                                    states, and what was notified, in the state file
 *
 * A minute that is told is only added up. Evaluating, saving and notifying happen in a loop of their own, which gives way to the line. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import { max } from '../base/bigint.ts'
import { MS, SECOND } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { MinuteReader } from '../rollup/minute-reader.ts'
import type { SecretRegistry } from '../secrets/redactor.ts'
import type { Sink } from '../sink/sink.ts'
import { createCatchUp } from './catch-up.ts'
import type { AlertsConfig } from './config.ts'
import { type Before, createEvaluation, type EvaluationDeps } from './evaluation.ts'
import { createEventWriter } from './event-writer.ts'
import { eventLine } from './events.ts'
import type { Transition } from './judge.ts'
import { NEVER } from './machine.ts'
import type { AlertsMetrics } from './metrics.ts'
import { createDispatcher } from './notify/dispatcher.ts'
import { createLargestEdges } from './notify/largest-edges.ts'
import { notification, notifications, summaryOf } from './notify/notifications.ts'
import { createNotifiers } from './notify/notifiers.ts'
import { type AlertsStatus, alertStatuses, ruleStatus } from './status.ts'
import { createAlertsStore } from './store.ts'
import { type Orphan, storedAlert, storedOrphan } from './store-alerts.ts'

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

export interface AlertsDeps extends Pick<EvaluationDeps, 'rows' | 'isNode' | 'clock'> {
  readonly stateFile: StateFile
  /** To read only: receipts are the pipeline's. */
  readonly ledger: Pick<Ledger, 'settled' | 'gaps' | 'originNs' | 'watermarkNs' | 'unsettled'>
  readonly sink: Pick<Sink, 'write'>
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
  /** Saves what is not saved yet. Idempotent. */
  stop(): Promise<void>
  /** Ends at once and saves nothing: what is in memory may be wrong. Idempotent. */
  giveUp(): Promise<void>
}

/** The state is saved with what begins or ends, when somebody was notified of it, and else this often. */
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
  const store = createAlertsStore(stateFile)
  const stopping = new AbortController()
  const evaluation = createEvaluation(rules, limits, {
    ...{ ledger, clock, rows: deps.rows, isNode: deps.isNode, signal: stopping.signal },
    onIgnored: () => metrics.ignored(1),
  })
  const { judge } = evaluation
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
    onNotified() {
      hasNotified = true
      wake()
    },
    clock,
    log,
    metrics,
  })

  let orphans: Orphan[] = []
  let fillFailures = 0
  /** Somebody was notified since the state was saved: who is killed now would send it again. */
  let hasNotified = false
  let before: Before = { readToNs: undefined, wasCut: false }
  let waking = Promise.withResolvers<void>()
  let working: Promise<void> | undefined
  let running: Promise<readonly Transition[]> | undefined
  let savedMs = clock.monotonicMs()
  let prunedMs = clock.monotonicMs()

  function wake(): void {
    waking.resolve()
  }

  /** Fills the rings, or says why not and waits. */
  async function tryToFill(toNs: bigint): Promise<void> {
    try {
      await evaluation.fill(toNs, before)
      catchUp.begin(judge.judgedNs)
      save()
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
    const [beganMs, beforeNs] = [clock.monotonicMs(), judge.judgedNs]
    const evaluated = await evaluation.run()
    const transitions = evaluated?.transitions ?? []
    if (evaluated !== undefined) {
      for (const transition of transitions) record(transition)
      catchUp.follow(evaluated.toNs)
      const isLater = judge.judgedNs > beforeNs
      if (isLater) {
        metrics.evaluated(judge.steps, clock.monotonicMs() - beganMs)
        metrics.position(Number(judge.judgedNs / MS) / 1000)
      }
      tidy()
      if (isLater || transitions.length > 0) measure()
    }
    if (clock.monotonicMs() - savedMs >= SAVE_MS || transitions.length > 0 || hasNotified) save()
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
        const isOld = mark.state === 'inactive' && alert.marks.length === 1 && mark.atNs < evaluation.horizonNs
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
    evaluation.prune()
  }

  function save(): boolean {
    const alerts = judge.rules.flatMap((state) =>
      [...state.alerts.values()].map((alert) => storedAlert(alert, tailnet, summaryOf(alert, tailnet))),
    )
    savedMs = clock.monotonicMs()
    hasNotified = false
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
    metrics.kept(evaluation.memoryBytes)
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted) {
      waking = Promise.withResolvers()
      const { finalNs } = evaluation
      if (!evaluation.isFilled && finalNs !== undefined) await tryToFill(finalNs)
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

  return {
    minute: evaluation.minute,
    finalTo(ns) {
      if (evaluation.finalTo(ns)) wake()
    },
    async start() {
      const loaded = store.load(judge.rules, { tailnet, ledger: tailnetId }, clock.now())
      orphans = loaded.orphans
      if (loaded.wasCut) log.warn('alerts ended without saving: everything within alerts.lateness is evaluated again')
      events.restore(loaded.events)
      metrics.rules(rules.map((rule) => rule.name))
      // A crash before the first save changes nothing.
      const readToNs = loaded.wasCut && loaded.isNew ? undefined : ledger.watermarkNs()
      before = { readToNs, wasCut: loaded.wasCut }
      dispatcher.start()
      working = work().catch(deps.onBroken)
    },
    evaluate,
    status: () => ({
      rules: judge.rules.map((state) => ruleStatus(state, evaluation.countsSinceNs(state))),
      alerts: alertStatuses(judge.rules, tailnet, clock.now()),
      notifiers: dispatcher.status(),
      evaluated: judge.judgedNs === 0n ? null : isoOf(judge.judgedNs),
      latenessSeconds: Number(latenessNs / SECOND),
      catchingUp: catchUp.isCatchingUp,
      waiting: !evaluation.isFilled,
      lateMinutes: evaluation.lateMinutes,
      memoryBytes: evaluation.memoryBytes,
    }),
    async stop() {
      if (working === undefined || stopping.signal.aborted) return
      await end()
      if (save() && judge.isIdle) store.ended()
    },
    giveUp: end,
  }
}
