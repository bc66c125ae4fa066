/** Sums of the entries of simulated records, by kind. */
import type { DemoRecord } from '../../src/demo/records.ts'

interface KindSums {
  entries: number
  txBytes: bigint
  txPkts: bigint
  rxBytes: bigint
  rxPkts: bigint
}

export interface Sums {
  /** Second uploads included. */
  readonly messages: number
  /** Second uploads of what is in the range anyway are not counted, here and below. */
  readonly records: number
  readonly virtual: KindSums
  readonly subnet: KindSums
  readonly exit: KindSums
  readonly physical: KindSums
}

export function sumsOf(all: Iterable<DemoRecord>): Omit<Sums, 'messages'> {
  const [virtual, subnet, exit, physical] = [noSums(), noSums(), noSums(), noSums()] as const
  const kinds = [virtual, subnet, exit, physical]
  let records = 0
  for (const { entries } of all) {
    records += 1
    for (const [kind, list] of entries.entries()) {
      const sum = kinds[kind]!
      for (const { txBytes, txPkts, rxBytes, rxPkts } of list) {
        sum.entries += 1
        sum.txBytes += BigInt(txBytes)
        sum.txPkts += BigInt(txPkts)
        sum.rxBytes += BigInt(rxBytes)
        sum.rxPkts += BigInt(rxPkts)
      }
    }
  }
  return { records, virtual, subnet, exit, physical }
}

function noSums(): KindSums {
  return { entries: 0, txBytes: 0n, txPkts: 0n, rxBytes: 0n, rxPkts: 0n }
}
