/** Long ranges of rows are read in portions: few queries where there are few rows, and no more in memory than needed where there are many. */
import { max, min } from '../../base/bigint.ts'
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'

/** Of which rows: minutes, hours or days. */
export type Tier = '' | '_1h' | '_1d'

/** A portion has about so many rows, and is no longer than this. */
const ROWS = 30_000
const UNITS: Readonly<Record<Tier, { readonly unitNs: bigint; readonly longest: bigint }>> = {
  '': { unitNs: MINUTE, longest: 120n },
  _1h: { unitNs: HOUR, longest: 24n },
  _1d: { unitNs: DAY, longest: 31n },
}

/** Reads [fromNs, toNs), which begins with a whole minute, hour or day. `read`: returns how many rows there were. Rejects as `read` does. */
export async function inPortions(
  tier: Tier,
  fromNs: bigint,
  toNs: bigint,
  read: (fromNs: bigint, toNs: bigint) => Promise<number>,
): Promise<void> {
  const { unitNs, longest } = UNITS[tier]
  let units = 1n
  for (let atNs = fromNs; atNs < toNs; ) {
    const endNs = min(atNs + units * unitNs, toNs)
    const count = await read(atNs, endNs)
    if (count * 2 < ROWS) units = min(units * 2n, longest)
    else if (count > ROWS) units = max(units / 2n, 1n)
    atNs = endNs
  }
}
