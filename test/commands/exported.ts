/** What the embedded store holds, as `tailflux export` prints it. */
import type { TestContext } from 'node:test'
import { runCli } from '../helpers/cli.ts'
import type { ReadPoint } from '../services/influx-read.ts'
import { parseLines } from '../sink/line-protocol/parse-lines.ts'

const MINUTE_NS = 60_000_000_000n

export async function exported(t: TestContext, dir: string, measurement: string) {
  return parseLines((await runCli(t, ['export', '--measurement', measurement], { TAILFLUX_DATA_DIR: dir })).stdout)
}

export type CountedPoint = Pick<ReadPoint, 'tags' | 'fields' | 'timestampNs'>

/** What each node reported in each minute of the range, by kind. */
export function countersByMinute(
  points: readonly CountedPoint[],
  { fromNs, toNs }: { readonly fromNs: bigint; readonly toNs: bigint },
): Record<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const { tags, fields, timestampNs } of points) {
    if (timestampNs < fromNs || timestampNs >= toNs) continue
    for (const counter of ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows']) {
      const key = `${timestampNs / MINUTE_NS} ${tags['node']} ${tags['kind']} ${counter}`
      sums.set(key, (sums.get(key) ?? 0n) + BigInt(fields[counter] ?? 0n))
    }
  }
  return Object.fromEntries([...sums].toSorted(([one], [other]) => (one < other ? -1 : 1)))
}
