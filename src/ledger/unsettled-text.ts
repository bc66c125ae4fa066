/** The list of what is not settled as one short text, for the database: a new ledger starts with it. `m29833333-29833340,29833350;h497222;d20717`: minutes, hours
 * and days, counted from the epoch, as ranges with both ends inclusive. If there are too many ranges, those closest to each other become one: more is made
 * again then, and nothing is forgotten. */
import { DAY, HOUR, MINUTE } from '../base/clock.ts'
import { TIERS, type Tier, type UnsettledList } from './unsettled.ts'

/** The length of one of a tier, ns. */
export const TIER_NS: Readonly<Record<Tier, bigint>> = { minute: MINUTE, hour: HOUR, day: DAY }

/** Begins of minutes, hours or days, both ends inclusive, ns. */
export interface TierRange {
  readonly tier: Tier
  readonly fromNs: bigint
  readonly toNs: bigint
}

/** One range has at most 17 characters and its comma; one field of a line takes 16 Ki characters (encode-line.ts). */
const RANGES_MAX = 800
const LETTERS: Readonly<Record<Tier, string>> = { minute: 'm', hour: 'h', day: 'd' }
const RANGE = /^(\d{1,8})(?:-(\d{1,8}))?$/

export function unsettledText(list: Pick<UnsettledList, 'all'>): string {
  const tiers = TIERS.map((tier) => ({
    tier,
    ranges: rangesOf(list.all(tier).map(({ startNs }) => startNs / TIER_NS[tier])),
  }))
  const gapMin = gapToClose(tiers.map(({ ranges }) => ranges))
  return tiers
    .filter(({ ranges }) => ranges.length > 0)
    .map(({ tier, ranges }) => LETTERS[tier] + closed(ranges, gapMin).map(rangeText).join())
    .join(';')
}

interface Range {
  readonly from: number
  to: number
}

function rangesOf(numbers: readonly bigint[]): Range[] {
  const ranges: Range[] = []
  for (const one of numbers.map(Number)) {
    const last = ranges.at(-1)
    if (last?.to === one - 1) last.to = one
    else ranges.push({ from: one, to: one })
  }
  return ranges
}

/** Gaps of this length and shorter must be closed, so that no more than RANGES_MAX ranges are left; 0: none. */
function gapToClose(tiers: readonly (readonly Range[])[]): number {
  const tooMany = tiers.reduce((sum, ranges) => sum + ranges.length, 0) - RANGES_MAX
  if (tooMany <= 0) return 0
  const gaps = tiers.flatMap((ranges) => ranges.slice(1).map(({ from }, index) => from - ranges[index]!.to))
  return gaps.toSorted((one, other) => one - other)[tooMany - 1] ?? 0
}

function closed(ranges: readonly Range[], gapMax: number): Range[] {
  const left: Range[] = []
  for (const { from, to } of ranges) {
    const last = left.at(-1)
    if (last !== undefined && from - last.to <= gapMax) last.to = to
    else left.push({ from, to })
  }
  return left
}

function rangeText({ from, to }: Range): string {
  return from === to ? `${from}` : `${from}-${to}`
}

/** What `unsettledText` wrote; undefined when it is anything else. */
export function readUnsettled(text: string): readonly TierRange[] | undefined {
  const found: TierRange[] = []
  for (const part of text === '' ? [] : text.split(';')) {
    const tier = TIERS.find((one) => LETTERS[one] === part[0])
    if (tier === undefined) return undefined
    for (const range of part.slice(1).split(',')) {
      const [, from, to = from] = RANGE.exec(range) ?? []
      if (from === undefined || to === undefined || Number(to) < Number(from)) return undefined
      found.push({ tier, fromNs: BigInt(from) * TIER_NS[tier], toNs: BigInt(to) * TIER_NS[tier] })
    }
  }
  return found
}
