/** Keeps notifiers in step with the state of alerts. Each has a loop of its own, so a slow one holds up nobody. What counts is the state,
 * not a queue of messages: a state that a notifier has not received is sent, so a notifier that was away for an hour misses nothing and
 * is not flooded either. */

import type { Logger } from 'pino'
import { backoffAfter } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { Notified } from '../alert.ts'
import type { AlertsMetrics } from '../metrics.ts'
import type { Firing, LargestEdges } from './largest-edges.ts'
import type { Notification, Notifier } from './notifier.ts'

/** An alert, with what each notifier received of it. */
export interface NotifiableAlert {
  readonly fingerprint: string
  /** When it last began to fire; 0: it never did, as far as is known now. */
  readonly firedNs: bigint
  /** When that ended; 0 while it fires. */
  readonly resolvedNs: bigint
  readonly notified: Map<string, Notified>
  /** What it is about; undefined when its rule is gone. */
  readonly about?: Pick<Firing, 'rule' | 'group'>
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
  /** Undefined: notifications go without. */
  readonly edges?: LargestEdges | undefined
  /** While the past is being caught up, an alert of hours ago that is about to end is not sent yet. */
  readonly isCatchingUp: () => boolean
  /** Something was received: keep that. */
  readonly onNotified: () => void
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: Pick<AlertsMetrics, 'notified'>
}

/** What ended longer ago and was never sent is in the events, and is not sent. */
const UNSENT_NS = 86_400_000_000_000n
/** For how long a notifier that repeats receives that an alert is over. */
const RESOLVED_REPEAT_MS = 900_000
/** For how long one that repeats receives an alert as firing when it was over before anything of it was sent. */
const UNSENT_FIRING_MS = 120_000
const BACKOFF = { minMs: 5_000, maxMs: 300_000 }
const ROUND_MS = 5_000
const BROKEN =
  'An internal error of tailflux (see "notification failed, will retry" in the log); it is retried. If it persists, update tailflux, or report that log line.'

interface Memory {
  /** By fingerprint: when it was sent last. */
  readonly sentMs: Map<string, number>
  /** By fingerprint: since when it receives that the alert is over. */
  readonly overMs: Map<string, number>
  /** By fingerprint: not sent as over before. */
  readonly heldMs: Map<string, number>
}

export function createDispatcher(deps: DispatcherDeps): Dispatcher {
  const { clock, log, metrics } = deps
  const stopping = new AbortController()
  const states = new Map<string, { lastSent: string | null; error: string | null }>()
  const memories = new Map<string, Memory>()
  /** By fingerprint: the largest edges behind an alert that began to fire then, empty where they are not known. */
  const behind = new Map<string, { readonly firedNs: bigint; readonly text: string }>()
  let loops: Promise<void>[] = []
  let waking = Promise.withResolvers<void>()

  function memoryOf({ id }: Notifier): Memory {
    let memory = memories.get(id)
    if (memory === undefined) {
      memory = { sentMs: new Map(), overMs: new Map(), heldMs: new Map() }
      memories.set(id, memory)
    }
    return memory
  }

  /** What to send to the notifier about an alert now, if anything. */
  function due(notifier: Notifier, alert: NotifiableAlert): 'firing' | 'resolved' | undefined {
    const memory = memoryOf(notifier)
    const received = alert.notified.get(notifier.id)
    const nowMs = clock.monotonicMs()
    const isRepeat = (sinceMs: number | undefined) =>
      notifier.repeatMs !== undefined && nowMs - (sinceMs ?? Number.NEGATIVE_INFINITY) >= notifier.repeatMs
    const isFiring = alert.firedNs !== 0n && alert.resolvedNs === 0n
    if (isFiring) {
      if (received === undefined || received.resolvedNs !== 0n) return deps.isCatchingUp() ? undefined : 'firing'
      return isRepeat(memory.sentMs.get(alert.fingerprint)) ? 'firing' : undefined
    }
    if (received?.resolvedNs === 0n) {
      const heldMs = memory.heldMs.get(alert.fingerprint) ?? Number.NEGATIVE_INFINITY
      if (nowMs >= heldMs) return deps.isCatchingUp() ? undefined : 'resolved'
      return isRepeat(memory.sentMs.get(alert.fingerprint)) ? 'firing' : undefined
    }
    if (isUnsent(alert, received)) {
      if (deps.isCatchingUp()) return undefined
      if (alert.resolvedNs >= clock.now() - UNSENT_NS) return notifier.repeatMs === undefined ? 'resolved' : 'firing'
      alert.notified.set(notifier.id, { firedNs: alert.firedNs, resolvedNs: alert.resolvedNs })
      return undefined
    }
    const overMs = memory.overMs.get(alert.fingerprint)
    const isOver = overMs !== undefined && nowMs - overMs < RESOLVED_REPEAT_MS
    return isOver && isRepeat(memory.sentMs.get(alert.fingerprint)) ? 'resolved' : undefined
  }

  function notificationOf(alert: NotifiableAlert, status: Notification['status']): Notification {
    const { firedNs, resolvedNs, fingerprint } = alert
    // Records that came late may have shown that it never fired: then it is over now.
    const endsNs = status === 'firing' ? 0n : resolvedNs === 0n ? clock.now() : resolvedNs
    const startsNs = firedNs === 0n || (status === 'resolved' && firedNs > endsNs) ? endsNs : firedNs
    const edges = status === 'firing' ? edgesOf(alert) : undefined
    return { ...alert.textsOf(status), edges, fingerprint, status, startsNs, endsNs }
  }

  function edgesOf({ fingerprint, firedNs }: NotifiableAlert): string | undefined {
    const known = behind.get(fingerprint)
    return known?.firedNs === firedNs ? known.text : undefined
  }

  /** Asks for the edges behind those that this notifier receives as firing for the first time. */
  async function findEdges(notifier: Notifier, wanted: readonly NotifiableAlert[]): Promise<void> {
    const fresh = wanted.flatMap((alert) => {
      const { about, firedNs, notified } = alert
      const isRepeat = notified.get(notifier.id)?.resolvedNs === 0n
      return about === undefined || isRepeat || edgesOf(alert) !== undefined ? [] : [{ ...about, firedNs, alert }]
    })
    if (deps.edges === undefined || fresh.length === 0) return
    const texts = await deps.edges.find(fresh, stopping.signal)
    for (const one of fresh) behind.set(one.alert.fingerprint, { firedNs: one.firedNs, text: texts.get(one) ?? '' })
  }

  function mark(notifier: Notifier, alert: NotifiableAlert, notification: Notification): void {
    const memory = memoryOf(notifier)
    const { fingerprint, firedNs, resolvedNs } = alert
    const nowMs = clock.monotonicMs()
    memory.sentMs.set(fingerprint, nowMs)
    if (notification.status === 'firing') {
      if (resolvedNs !== 0n && !memory.heldMs.has(fingerprint)) memory.heldMs.set(fingerprint, nowMs + UNSENT_FIRING_MS)
      alert.notified.set(notifier.id, { firedNs, resolvedNs: 0n })
      memory.overMs.delete(fingerprint)
      return
    }
    alert.notified.set(notifier.id, {
      firedNs: firedNs === 0n ? notification.startsNs : firedNs,
      resolvedNs: notification.endsNs,
    })
    memory.heldMs.delete(fingerprint)
    if (!memory.overMs.has(fingerprint)) memory.overMs.set(fingerprint, nowMs)
  }

  /** One round; the failure, if there was one. */
  async function round(notifier: Notifier): Promise<{ error: unknown } | undefined> {
    const statuses = new Map<NotifiableAlert, Notification['status']>()
    for (const alert of deps.alerts()) {
      const status = due(notifier, alert)
      if (status) statuses.set(alert, status)
    }
    if (statuses.size === 0) return undefined
    await findEdges(
      notifier,
      [...statuses].flatMap(([alert, status]) => (status === 'firing' ? [alert] : [])),
    )
    const wanted = new Map<string, { alert: NotifiableAlert; notification: Notification }>()
    for (const [alert, status] of statuses)
      wanted.set(alert.fingerprint, { alert, notification: notificationOf(alert, status) })
    for (const portion of notifier.portions([...wanted.values()].map(({ notification }) => notification))) {
      try {
        await notifier.send(portion, stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) return undefined
        metrics.notified(notifier.kind, 'failed', portion.length)
        return { error }
      }
      for (const { fingerprint } of portion) {
        const one = wanted.get(fingerprint)
        if (one) mark(notifier, one.alert, one.notification)
      }
      metrics.notified(notifier.kind, 'sent', portion.length)
      states.set(notifier.id, { lastSent: new Date(Number(clock.now() / 1_000_000n)).toISOString(), error: null })
      deps.onNotified()
    }
    return undefined
  }

  async function loop(notifier: Notifier): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      const woken = waking.promise
      const failure = await round(notifier).catch((error: unknown) => ({ error }))
      if (failure) {
        const { error } = failure
        // An error of our own fails this notifier, and no other one.
        const [code, text] = error instanceof CollectorError ? [error.code, error.message] : ['notify_failed', BROKEN]
        failures += 1
        const { lastSent = null } = states.get(notifier.id) ?? {}
        states.set(notifier.id, { lastSent, error: text })
        log.warn({ notifier: notifier.label, code, err: error }, 'notification failed, will retry')
        const waitMs = backoffAfter(failures, BACKOFF)
        await clock.sleep(waitMs, stopping.signal).catch(() => undefined)
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
      loops = deps.notifiers.map(loop)
    },
    wake() {
      waking.resolve()
      waking = Promise.withResolvers()
    },
    forget(fingerprint) {
      behind.delete(fingerprint)
      for (const memory of memories.values())
        for (const map of [memory.sentMs, memory.overMs, memory.heldMs]) map.delete(fingerprint)
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      waking.resolve()
      await Promise.all(loops)
    },
    status: () =>
      deps.notifiers.map(({ id, label }) => {
        const { lastSent = null, error = null } = states.get(id) ?? {}
        return { notifier: label, status: error === null ? 'ok' : 'failing', lastSent, error }
      }),
    isDone(alert) {
      const nowMs = clock.monotonicMs()
      return deps.notifiers.every((notifier) => {
        const received = alert.notified.get(notifier.id)
        if (isUnsent(alert, received)) return false
        if (received?.resolvedNs === 0n) return false
        const overMs = memoryOf(notifier).overMs.get(alert.fingerprint)
        return notifier.repeatMs === undefined || overMs === undefined || nowMs - overMs >= RESOLVED_REPEAT_MS
      })
    },
  }
}

/** It fired after all that was sent. Late records may move the begin of what was sent as over; that is no other alert. */
function isUnsent({ firedNs }: NotifiableAlert, received: Notified | undefined): boolean {
  return firedNs !== 0n && (received === undefined || (received.resolvedNs !== 0n && received.resolvedNs <= firedNs))
}
