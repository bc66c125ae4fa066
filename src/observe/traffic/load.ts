/** Fills the last hour and the last day from the rows in the database, newest first, so that the status page has them soon after a start. */
import { backoffAfter } from '../../base/backoff.ts'
import { type Clock, MINUTE } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { getOrInsert } from '../../base/maps.ts'
import type { RowStore } from '../../rollup/rows/row-store.ts'
import { edgeOf } from '../../rollup/rows/stored-row.ts'
import { KINDS, type Kind } from '../../source/parse/message.ts'
import { DAY_MINUTES } from './day.ts'
import { addEdge, type MinuteOfTalkers, newMinute, SPAN_MINUTES } from './talkers.ts'

/** Takes what was loaded. All ranges of minutes are [from, to). */
export interface Loaded {
  edges(minute: number, talkers: MinuteOfTalkers): void
  kinds(minute: number, bytes: readonly number[]): void
  gap(minute: number): void
  reporting(minute: number, nodes: Iterable<string>): void
  covered(fromMinute: number, toMinute: number): void
}

export interface LoadView {
  /** From 0 to 1. */
  readonly share: number
  /** Why the database does not answer now, and the fix; null while it does. */
  readonly problem: string | null
}

export interface Load {
  /** Resolves when everything was taken, or the database shows nothing, or with the signal. Rejects on a programmer's error only. */
  run(endMinute: number): Promise<void>
  /** Null before and after. */
  view(): LoadView | null
}

/** Rows of this number of minutes are in memory at a time. */
const EDGES_PIECE = 10
const KINDS_PIECE = 60
/** A node that reported within this time is one that reports. */
export const REPORTING_MINUTES = 15
const BACKOFF = { minMs: 1_000, maxMs: 60_000 }

const nsOf = (minute: number) => BigInt(minute) * MINUTE
const minuteOf = (ns: bigint) => Number(ns / MINUTE)

/** What is read of the rows. */
export type LoadedStore = Pick<RowStore, 'reads' | 'rows' | 'kinds' | 'minutes' | 'reporting'>

export function createLoad(deps: {
  readonly store: LoadedStore
  readonly clock: Pick<Clock, 'sleep'>
  readonly into: Loaded
  readonly signal: AbortSignal
}): Load {
  const { store, clock, into, signal } = deps
  let view: LoadView | null = null

  async function edges(from: number, to: number): Promise<void> {
    const found = new Map<number, MinuteOfTalkers>()
    await store.rows(
      'tailnet_edge',
      nsOf(from),
      nsOf(to),
      (timeNs, key, fields) => {
        const says = getOrInsert(found, minuteOf(timeNs), newMinute)
        addEdge(
          says,
          edgeOf(key, fields, () => false),
        )
      },
      signal,
    )
    for (const [minute, says] of found) into.edges(minute, says)
  }

  async function kinds(from: number, to: number): Promise<void> {
    const found = new Map<number, number[]>()
    await store.kinds(
      nsOf(from),
      nsOf(to),
      (timeNs, kind, bytes) => {
        const sums = getOrInsert(found, minuteOf(timeNs), () => KINDS.map(() => 0))
        const at = KINDS.indexOf(kind as Kind)
        if (at >= 0) sums[at]! += bytes
      },
      signal,
    )
    for (const [minute, sums] of found) into.kinds(minute, sums)
    into.covered(from, to)
  }

  async function gaps(from: number, to: number): Promise<void> {
    for (const { startNs, isGap } of await store.minutes(nsOf(from), nsOf(to), signal))
      if (isGap) into.gap(minuteOf(startNs))
  }

  async function reporting(from: number, to: number): Promise<void> {
    for (const [startNs, nodes] of await store.reporting(nsOf(from), nsOf(to), signal))
      into.reporting(minuteOf(startNs), nodes)
  }

  /** What is to be read, in this order. */
  function piecesOf(end: number): (() => Promise<void>)[] {
    const pieces = (from: number, step: number, read: (from: number, to: number) => Promise<void>) =>
      Array.from({ length: Math.ceil((end - from) / step) }, (_, index) => {
        const to = end - index * step
        return () => read(Math.max(from, to - step), to)
      })
    return [
      // The hour that is shown ends with the minute before the last one here.
      ...pieces(end - 1 - SPAN_MINUTES, EDGES_PIECE, edges),
      () => reporting(end - REPORTING_MINUTES, end),
      ...pieces(end - DAY_MINUTES, KINDS_PIECE, kinds),
      () => gaps(end - DAY_MINUTES, end),
    ]
  }

  return {
    async run(endMinute) {
      const pieces = [async () => (await store.reads(signal)) !== 'nothing', ...piecesOf(endMinute)]
      view = { share: 0, problem: null }
      for (let at = 0, failures = 0; at < pieces.length && !signal.aborted; ) {
        try {
          if ((await pieces[at]!()) === false) break
          at += 1
          failures = 0
          view = { share: at / pieces.length, problem: null }
        } catch (error) {
          if (signal.aborted) break
          if (!(error instanceof CollectorError)) throw error
          failures += 1
          view = { share: at / pieces.length, problem: error.message }
          await clock.sleep(backoffAfter(failures, BACKOFF), signal).catch(() => undefined)
        }
      }
      view = null
    },
    view: () => view,
  }
}
