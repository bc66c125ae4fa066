/** What the status page shows of final minutes: the day by kind, the top talkers of the hour, and how many nodes report. After a start it is filled
 * from the rows in the database. */
import { type Clock, MINUTE } from '../../base/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Instance } from '../../observers/observers.ts'
import type { FinalMinute, MinuteReader } from '../../rollup/minute-reader.ts'
import { finality } from '../../rollup/points/coverage.ts'
import { KINDS } from '../../source/parse/message.ts'
import { createDay, type ThroughputView } from './day.ts'
import { createLoad, type LoadedStore, type LoadView, REPORTING_MINUTES } from './load.ts'
import { addEdge, createTalkers, newMinute, SPAN_MINUTES, type TalkersView } from './talkers.ts'

export interface TrafficView {
  readonly throughput: ThroughputView
  readonly talkers: TalkersView
  /** Nodes that reported within the last 15 minutes; null before the first minute. */
  readonly nodesReporting: number | null
  /** Minutes of the last day whose sums may be too small, because something of them is in a gap. */
  readonly gapMinutes: number
  /** While the last day is read from the database after a start. */
  readonly loading: LoadView | null
}

export interface Traffic extends Instance, MinuteReader {
  view(): TrafficView
  nodesReporting(): number | null
}

export interface TrafficDeps {
  readonly store: LoadedStore
  readonly ledger: Pick<Ledger, 'settled' | 'gaps' | 'unsettled'>
  readonly clock: Pick<Clock, 'now' | 'sleep'>
  /** Something is wrong in tailflux itself: this instance ends. */
  readonly onBroken: (error: unknown) => void
}

/** Maximum reporting nodes that are counted. */
const NODES_MAX = 100_000
/** The hour of the talkers ends with the newest final minute, but no longer ago than this. */
const BEHIND_MINUTES_MAX = 10

export function createTraffic({ store, ledger, clock, onBroken }: TrafficDeps): Traffic {
  const stopping = new AbortController()
  const day = createDay()
  const talkers = createTalkers()
  /** The newest minute in which each node reported. */
  const nodes = new Map<string, number>()
  const minuteNow = () => Number(clock.now() / MINUTE)
  /** What is not loaded is known from here on. A clock that is behind will be set: everything up to what was read may have rows. */
  let knownFrom = Math.max(minuteNow(), Number((ledger.settled().at(-1)?.toNs ?? 0n) / MINUTE))
  let isEmpty = true
  let loading: Promise<void> | undefined
  /** Views are made when something changed, not each time that one is asked for. */
  let made: { readonly endMinute: number; readonly view: Omit<TrafficView, 'loading'> } | undefined

  function changed(): void {
    made = undefined
    isEmpty = false
    talkers.forgetBefore(hourEnd() - SPAN_MINUTES)
  }

  const hourEnd = () => Math.max(knownFrom, minuteNow() - BEHIND_MINUTES_MAX)

  function reports(node: string, minute: number): void {
    const known = nodes.get(node)
    if (known === undefined ? nodes.size < NODES_MAX : known < minute) nodes.set(node, minute)
  }

  const load = createLoad({
    store,
    clock,
    signal: stopping.signal,
    into: {
      edges(minute, says) {
        if (day.isReported(minute)) return
        changed()
        talkers.set(minute, says)
      },
      kinds(minute, bytes) {
        changed()
        day.set(minute, bytes, 'loaded')
      },
      gap(minute) {
        changed()
        if (!day.isReported(minute)) day.markGap(minute, true)
      },
      reporting(minute, some) {
        changed()
        for (const node of some) reports(node, minute)
      },
      covered(from, to) {
        made = undefined
        day.cover(from, to)
      },
    },
  })

  /** Everything of a minute was read, and its rows were made. */
  function readMinutes(): (minute: number) => boolean {
    const [settled, gaps] = [ledger.settled(), ledger.gaps()]
    return (minute) => {
      const startNs = BigInt(minute) * MINUTE
      const { isFinal, hasGap } = finality(startNs, settled, gaps)
      return isFinal && !hasGap && ledger.unsettled.find('minute', startNs) === undefined
    }
  }

  function nodesReporting(): number | null {
    const first = hourEnd() - REPORTING_MINUTES
    for (const [node, minute] of nodes) if (minute < first) nodes.delete(node)
    return isEmpty ? null : nodes.size
  }

  return {
    async start() {
      loading = load.run(knownFrom + 1).catch(onBroken)
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await loading
    },
    async giveUp() {
      stopping.abort(new Error('given up'))
      await loading
    },

    minute({ startNs, eachEdge, eachNode, hasGap }: FinalMinute) {
      const minute = Number(startNs / MINUTE)
      changed()
      const says = newMinute()
      const bytes = KINDS.map(() => 0)
      eachEdge((edge) => {
        addEdge(says, edge)
        bytes[KINDS.indexOf(edge.kind)]! += Number(edge.txBytes) + Number(edge.rxBytes)
      })
      eachNode(({ node }) => reports(node.id, minute))
      // Of a minute that was lost nothing is known: it is not quiet.
      if (says.names.size + says.paths.size > 0 || !hasGap) day.set(minute, bytes, 'reported')
      day.markGap(minute, hasGap)
      talkers.set(minute, says)
    },
    finalTo(ns) {
      const minute = Number(ns / MINUTE)
      if (minute <= knownFrom) return
      day.cover(knownFrom, minute)
      knownFrom = minute
      changed()
    },

    nodesReporting,
    view() {
      const endMinute = minuteNow()
      if (made?.endMinute !== endMinute) {
        const view = {
          throughput: day.view(endMinute, readMinutes()),
          talkers: talkers.view(hourEnd()),
          nodesReporting: nodesReporting(),
          gapMinutes: day.gapMinutes(endMinute),
        }
        made = { endMinute, view }
      }
      return { ...made.view, loading: load.view() }
    },
  }
}
