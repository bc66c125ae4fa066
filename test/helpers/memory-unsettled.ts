/** The list of what is not settled, in memory, as simple as can be. */
import type { Listed, Tier, Unsettled, UnsettledList } from '../../src/ledger/unsettled.ts'

export interface MemoryUnsettled extends UnsettledList {
  read(minutes: readonly bigint[], nowNs: bigint): void
}

export function createMemoryUnsettled(): MemoryUnsettled {
  const entries = new Map<string, Unsettled & Listed>()
  let number = 0
  const keyOf = ({ tier, startNs }: Listed) => `${tier} ${startNs}`

  function add(some: readonly Listed[], cause: 'read' | 'must', nowNs: bigint): void {
    for (const { tier, startNs } of some) {
      const known = entries.get(keyOf({ tier, startNs })) ?? { tier, startNs, read: 0, must: 0, sinceNs: nowNs }
      entries.set(keyOf(known), { ...known, [cause]: number })
    }
  }

  const shown = ({ startNs, read, must, sinceNs }: Unsettled) => ({ startNs, read, must, sinceNs })
  return {
    all: (tier: Tier) =>
      [...entries.values()]
        .filter((one) => one.tier === tier)
        .map(shown)
        .toSorted((one, other) => Number(one.startNs - other.startNs)),
    find(tier, startNs) {
      const found = entries.get(keyOf({ tier, startNs }))
      return found && shown(found)
    },
    read(minutes, nowNs) {
      number += 1
      add(
        minutes.map((startNs) => ({ tier: 'minute', startNs })),
        'read',
        nowNs,
      )
    },
    must(some, nowNs) {
      if (some.length > 0) number += 1
      add(some, 'must', nowNs)
    },
    strikeOff(one, upTo, follow, nowNs) {
      number += 1
      const known = entries.get(keyOf(one))
      if (known) {
        const [read, must] = [known.read > upTo.read ? known.read : 0, known.must > upTo.must ? known.must : 0]
        if (read + must === 0) entries.delete(keyOf(one))
        else entries.set(keyOf(one), { ...known, read, must })
      }
      add(follow, 'must', nowNs)
    },
  }
}
