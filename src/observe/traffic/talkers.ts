/** Who talks most with whom in the last hour, by name and by owner: from edges, so each byte counts once. */
import { MINUTE } from '../../base/clock.ts'
import { isoOf } from '../../base/format.ts'
import type { EdgeRow } from '../../rollup/rows/row.ts'
import type { Kind } from '../../source/parse/message.ts'
import { addTo, createWindowSums, largestFirst, type Sum, type WindowSums } from './window-sums.ts'

export interface Talker {
  readonly kind: Kind
  /** Names, or owners. `one` sent more. `none`: the internet, or no owner. */
  readonly one: string
  readonly other: string
  /** Sent by `one` and received by it. */
  readonly txBytes: number
  readonly rxBytes: number
  /** How the two reach each other: a relay's region (`derp-4`), `direct`, `mixed`; null when no record says, and for owners. */
  readonly path: string | null
}

export interface TalkersView {
  readonly spanMinutes: number
  /** End of the hour, RFC 3339 (the nodes' clocks). */
  readonly to: string
  /** By name. */
  readonly top: readonly Talker[]
  readonly owners: readonly Talker[]
  /** All traffic but physical; the shares of the top ones refer to it. */
  readonly totalBytes: number
  /** Bytes of the smallest pairs, which are counted without their names, because there are too many. */
  readonly unnamedBytes: number
}

/** What one minute says. */
export interface MinuteOfTalkers {
  readonly names: Map<string, Sum>
  readonly owners: Map<string, Sum>
  /** Physical traffic: by which path two nodes reach each other. */
  readonly paths: Map<string, Sum>
}

export interface Talkers {
  set(minute: number, says: MinuteOfTalkers): void
  forgetBefore(minute: number): void
  /** Of the hour that ends with this minute, which itself is not in it. */
  view(endMinute: number): TalkersView
}

export const SPAN_MINUTES = 60
const TALKERS_SHOWN = 10
/** A share of traffic below which the other path does not count. */
const NEGLIGIBLE = 0.01
/** Names have no control characters. */
const SEPARATOR = '\n'

export function newMinute(): MinuteOfTalkers {
  return { names: new Map(), owners: new Map(), paths: new Map() }
}

export function addEdge({ names, owners, paths }: MinuteOfTalkers, { kind, path, src, dst, ...row }: EdgeRow): void {
  const [tx, rx] = [Number(row.txBytes), Number(row.rxBytes)]
  if (kind === 'physical') return addPair(paths, path, src.name, dst.name, tx, rx)
  addPair(names, kind, src.name, dst.name, tx, rx)
  addPair(owners, kind, src.owner, dst.owner, tx, rx)
}

function addPair(sums: Map<string, Sum>, what: string, src: string, dst: string, tx: number, rx: number): void {
  if (src <= dst) addTo(sums, what + SEPARATOR + src + SEPARATOR + dst, tx, rx)
  else addTo(sums, what + SEPARATOR + dst + SEPARATOR + src, rx, tx)
}

export function createTalkers(): Talkers {
  const [names, owners, paths] = [createWindowSums(), createWindowSums(), createWindowSums()]

  function forgetBefore(minute: number): void {
    for (const sums of [names, owners, paths]) sums.forgetBefore(minute)
  }

  /** The paths between the names of the top ones, as bytes by path. */
  function pathsOf(top: readonly Omit<Talker, 'path'>[]): ReadonlyMap<string, Map<string, number>> {
    const found = new Map(top.map(({ one, other }) => [pairKey(one, other), new Map<string, number>()]))
    for (const [key, { tx, rx }] of paths.entries()) {
      const [path = '', one = '', other = ''] = key.split(SEPARATOR)
      const pair = found.get(pairKey(one, other))
      pair?.set(path, (pair.get(path) ?? 0) + tx + rx)
    }
    return found
  }

  return {
    set(minute, says) {
      names.set(minute, says.names)
      owners.set(minute, says.owners)
      paths.set(minute, says.paths)
    },
    forgetBefore,
    view(endMinute) {
      forgetBefore(endMinute - SPAN_MINUTES)
      const top = topOf(names)
      const known = pathsOf(top)
      const unnamedBytes = names.others.tx + names.others.rx
      let totalBytes = unnamedBytes
      for (const [, { tx, rx }] of names.entries()) totalBytes += tx + rx
      return {
        spanMinutes: SPAN_MINUTES,
        to: isoOf(BigInt(endMinute) * MINUTE),
        top: top.map((one) => ({ ...one, path: pathText(known.get(pairKey(one.one, one.other))) })),
        owners: topOf(owners).map((one) => ({ ...one, path: null })),
        totalBytes,
        unnamedBytes,
      }
    },
  }
}

function topOf(sums: WindowSums): Omit<Talker, 'path'>[] {
  const top: (readonly [key: string, sum: Readonly<Sum>])[] = []
  for (const entry of sums.entries()) {
    const { tx, rx } = entry[1]
    const last = top[TALKERS_SHOWN - 1]
    if (tx + rx === 0 || (last !== undefined && compare(entry, last) > 0)) continue
    top.push(entry)
    top.sort(compare).splice(TALKERS_SHOWN)
  }
  return top.map(([key, { tx, rx }]) => {
    const [kind, one, other] = key.split(SEPARATOR) as [Kind, string, string]
    return tx >= rx
      ? { kind, one, other, txBytes: tx, rxBytes: rx }
      : { kind, one: other, other: one, txBytes: rx, rxBytes: tx }
  })
}

/** Equal sums by their keys, so that their order does not change. */
function compare(
  [oneKey, one]: readonly [string, Readonly<Sum>],
  [otherKey, other]: readonly [string, Readonly<Sum>],
): number {
  return largestFirst(one, other) || (oneKey < otherKey ? -1 : 1)
}

function pairKey(one: string, other: string): string {
  return one <= other ? one + SEPARATOR + other : other + SEPARATOR + one
}

function pathText(bytes: ReadonlyMap<string, number> | undefined): string | null {
  const sorted = [...(bytes ?? [])].toSorted(([, one], [, other]) => other - one)
  const total = sorted.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return null
  const direct = bytes?.get('direct') ?? 0
  if (total - direct < total * NEGLIGIBLE) return 'direct'
  return direct < total * NEGLIGIBLE ? (sorted[0]?.[0] ?? null) : 'mixed'
}
