/** Keeps notifiers in step with the state of alerts. Each has a loop of its own, so a slow one holds up nobody. What counts is the state,
 * not a queue of messages: a state that a notifier has not received is sent, so a notifier that was away for an hour misses nothing and
 * is not flooded either. */

import type { Logger } from 'pino'
import { backoffAfter } from '../../base/backoff.ts'
import { type Clock, DAY } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { isoOf } from '../../base/format.ts'
import { getOrInsert } from '../../base/maps.ts'
import type { Notified } from '../alert.ts'
import type { AlertsMetrics } from '../metrics.ts'
import type { Firing, LargestEdges } from './largest-edges.ts'
import type { Notification, Notifier } from './notifier.ts'

/** An alert, with what each notifier received of it. */
export interface NotifiableAlert extends Firing {
  /** When it last began to fire; 0: it never did, as far as is known now. */
  readonly firedNs: bigint
  /** When that ended; 0 while it fires. */
  readonly resolvedNs: bigint
  readonly notified: Map<string, Notified>
  /** Its texts. */
  readonly textsOf: (
    status: Notification['status'],
  ) => Omit<Notification, 'fingerprint' | 'status' | 'startsNs' | 'endsNs' | 'edges'>
}

export interface Dispatcher {
  start(): void
  /** Something changed. */
  wake(): void
  /** Nothing is known of the alert any more. */
  forget(fingerprint: string): void
  stop(): Promise<void>
  status(): DispatcherStatus[]
  /** True when nothing of it is left to send to any notifier. */
  isDone(alert: NotifiableAlert): boolean
}

export interface DispatcherStatus {
  readonly notifier: string
  readonly status: 'ok' | 'failing'
  readonly lastSent: string | null
  /** The sentence of the last failure. */
  readonly error: string | null
}

export interface DispatcherDeps {
  readonly notifiers: readonly Notifier[]
  readonly alerts: () => Iterable<NotifiableAlert>
  readonly edges: LargestEdges
  /** While the past is being caught up, an alert of hours ago that is about to end is not sent yet. */
  readonly isCatchingUp: () => boolean
  /** Something was received: keep that. */
  readonly onNotified: () => void
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: Pick<AlertsMetrics, 'notified'>
}

/** What ended longer ago and was never sent is in the events, and is not sent. */
const UNSENT_NS = DAY
/** For how long a notifier that repeats receives that an alert is over. */
const RESOLVED_REPEAT_MS = 900_000
/** For how long one that repeats receives an alert as firing when it was over before anything of it was sent. */
const UNSENT_FIRING_MS = 120_000
const BACKOFF = { minMs: 5_000, maxMs: 300_000 }
const ROUND_MS = 5_000
const BROKEN =
  'An internal error of tailflux (see "notification failed, will retry" in the log); it is retried. If it persists, update tailflux, or report that log line.'

/** What a notifier was sent about an alert by this process; times are monotonic, ms. */
interface Sent {
  lastMs?: number
  /** Since when it receives that the alert is over. */
  overMs?: number
  /** Not sent as over before. */
  heldMs?: number
}

interface Target {
  readonly notifier: Notifier
  /** By fingerprint. */
  readonly sent: Map<string, Sent>
  lastSent: string | null
  error: string | null
}

export function createDispatcher(deps: DispatcherDeps): Dispatcher {
  const { clock, log, metrics } = deps
  const stopping = new AbortController()
  const targets = deps.notifiers.map((notifier): Target => ({ notifier, sent: new Map(), lastSent: null, error: null }))
  let loops: Promise<void>[] = []
  let waking = Promise.withResolvers<void>()

  /** What to send to the notifier about an alert now, if anything. */
  function due({ notifier, sent }: Target, alert: NotifiableAlert): Notification['status'] | undefined {
    const {
      lastMs = Number.NEGATIVE_INFINITY,
      overMs,
      heldMs = Number.NEGATIVE_INFINITY,
    } = sent.get(alert.fingerprint) ?? {}
    const { repeatMs } = notifier
    const received = alert.notified.get(notifier.id)
    const nowMs = clock.monotonicMs()
    const isRepeat = repeatMs !== undefined && nowMs - lastMs >= repeatMs
    const unlessCatchingUp = (status: Notification['status']) => (deps.isCatchingUp() ? undefined : status)
    const isReceivedFiring = received?.resolvedNs === 0n
    if (alert.firedNs !== 0n && alert.resolvedNs === 0n) {
      if (!isReceivedFiring) return unlessCatchingUp('firing')
      return isRepeat ? 'firing' : undefined
    }
    if (isReceivedFiring) {
      if (nowMs >= heldMs) return unlessCatchingUp('resolved')
      return isRepeat ? 'firing' : undefined
    }
    if (isUnsent(alert, received)) {
      if (deps.isCatchingUp()) return undefined
      if (alert.resolvedNs >= clock.now() - UNSENT_NS) return repeatMs === undefined ? 'resolved' : 'firing'
      alert.notified.set(notifier.id, { firedNs: alert.firedNs, resolvedNs: alert.resolvedNs })
      return undefined
    }
    return isRepeat && overMs !== undefined && nowMs - overMs < RESOLVED_REPEAT_MS ? 'resolved' : undefined
  }

  function notificationOf(alert: NotifiableAlert, status: Notification['status']): Notification {
    const { firedNs, resolvedNs, fingerprint } = alert
    // Records that came late may have shown that it never fired: then it is over now.
    const endsNs = status === 'firing' ? 0n : resolvedNs === 0n ? clock.now() : resolvedNs
    const startsNs = firedNs === 0n || (status === 'resolved' && firedNs > endsNs) ? endsNs : firedNs
    const edges = status === 'firing' ? deps.edges.textOf(fingerprint, firedNs) : undefined
    return { ...alert.textsOf(status), edges, fingerprint, status, startsNs, endsNs }
  }

  function mark({ notifier, sent }: Target, alert: NotifiableAlert, notification: Notification): void {
    const { fingerprint, firedNs, resolvedNs } = alert
    const nowMs = clock.monotonicMs()
    const one = getOrInsert(sent, fingerprint, (): Sent => ({}))
    one.lastMs = nowMs
    if (notification.status === 'firing') {
      if (resolvedNs !== 0n) one.heldMs ??= nowMs + UNSENT_FIRING_MS
      delete one.overMs
      alert.notified.set(notifier.id, { firedNs, resolvedNs: 0n })
      return
    }
    delete one.heldMs
    one.overMs ??= nowMs
    alert.notified.set(notifier.id, {
      firedNs: firedNs === 0n ? notification.startsNs : firedNs,
      resolvedNs: notification.endsNs,
    })
  }

  /** One round. Rejects when a portion was not taken; what went before is sent. */
  async function round(target: Target): Promise<void> {
    const { notifier } = target
    const dueNow = [...deps.alerts()].flatMap((alert) => {
      const status = due(target, alert)
      return status === undefined ? [] : [{ alert, status }]
    })
    if (dueNow.length === 0) return
    const fresh = dueNow.filter(
      ({ alert, status }) => status === 'firing' && alert.notified.get(notifier.id)?.resolvedNs !== 0n,
    )
    await deps.edges.find(
      fresh.map(({ alert }) => alert),
      stopping.signal,
    )
    const alerts = new Map(dueNow.map(({ alert }) => [alert.fingerprint, alert]))
    for (const portion of notifier.portions(dueNow.map(({ alert, status }) => notificationOf(alert, status)))) {
      try {
        await notifier.send(portion, stopping.signal)
      } catch (error) {
        if (!stopping.signal.aborted) metrics.notified(notifier.kind, 'failed', portion.length)
        throw error
      }
      for (const one of portion) mark(target, alerts.get(one.fingerprint)!, one)
      metrics.notified(notifier.kind, 'sent', portion.length)
      target.lastSent = isoOf(clock.now())
      target.error = null
      deps.onNotified()
    }
  }

  async function loop(target: Target): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      const woken = waking.promise
      try {
        await round(target)
      } catch (error) {
        if (stopping.signal.aborted) return
        // An error of our own fails this notifier, and no other one.
        const [code, text] = error instanceof CollectorError ? [error.code, error.message] : ['notify_failed', BROKEN]
        failures += 1
        target.error = text
        log.warn({ notifier: target.notifier.label, code, err: error }, 'notification failed, will retry')
        await clock.sleep(backoffAfter(failures, BACKOFF), stopping.signal).catch(() => undefined)
        continue
      }
      failures = 0
      const patience = new AbortController()
      const signal = AbortSignal.any([stopping.signal, patience.signal])
      await Promise.race([woken, clock.sleep(ROUND_MS, signal).catch(() => undefined)])
      patience.abort()
    }
  }

  return {
    start() {
      loops = targets.map(loop)
    },
    wake() {
      waking.resolve()
      waking = Promise.withResolvers()
    },
    forget(fingerprint) {
      deps.edges.forget(fingerprint)
      for (const { sent } of targets) sent.delete(fingerprint)
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      waking.resolve()
      await Promise.all(loops)
    },
    status: () =>
      targets.map(({ notifier, lastSent, error }) => {
        return { notifier: notifier.label, status: error === null ? 'ok' : 'failing', lastSent, error }
      }),
    isDone(alert) {
      const nowMs = clock.monotonicMs()
      return targets.every(({ notifier, sent }) => {
        const received = alert.notified.get(notifier.id)
        if (isUnsent(alert, received) || received?.resolvedNs === 0n) return false
        const { overMs } = sent.get(alert.fingerprint) ?? {}
        return notifier.repeatMs === undefined || overMs === undefined || nowMs - overMs >= RESOLVED_REPEAT_MS
      })
    },
  }
}

/** It fired after all that was sent. Late records may move the begin of what was sent as over; that is no other alert. */
function isUnsent({ firedNs }: NotifiableAlert, received: Notified | undefined): boolean {
  return firedNs !== 0n && (received === undefined || (received.resolvedNs !== 0n && received.resolvedNs <= firedNs))
}
