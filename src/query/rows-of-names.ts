/** Rows of a tailnet that was renamed: what lies in a range may have any of the names that were in force in it. */
import { getOrInsert } from '../base/maps.ts'
import type { DeviceVersion } from '../directory/device-version.ts'
import type { RowStore } from '../rollup/rows/row-store.ts'
import type { RowTable } from '../rollup/rows/row-table.ts'
import { stepOf } from './stored-rows.ts'

/** `namesIn`: the names that were in force in [fromNs, toNs). `storeOf`: the rows under one name. */
export function rowsOfNames(
  namesIn: (fromNs: bigint, toNs: bigint) => readonly string[],
  storeOf: (name: string) => RowStore,
): RowStore {
  const stores = new Map<string, RowStore>()

  function storesIn(fromNs: bigint, toNs: bigint): readonly RowStore[] {
    return namesIn(fromNs, toNs).map((name) => getOrInsert(stores, name, () => storeOf(name)))
  }

  /** Tables of different names have no key in common, because the name is a part of it. */
  async function tables(some: readonly RowStore[], read: (store: RowStore) => Promise<RowTable>): Promise<RowTable> {
    const all = []
    for (const store of some) all.push(...(await read(store)))
    return new Map(all)
  }

  async function lists<T>(some: readonly RowStore[], read: (store: RowStore) => Promise<readonly T[]>): Promise<T[]> {
    const all: T[] = []
    for (const store of some) all.push(...(await read(store)))
    return all
  }

  async function sets<K>(
    some: readonly RowStore[],
    read: (store: RowStore) => Promise<ReadonlyMap<K, ReadonlySet<string>>>,
  ): Promise<ReadonlyMap<K, ReadonlySet<string>>> {
    const all = new Map<K, ReadonlySet<string>>()
    for (const store of some)
      for (const [key, more] of await read(store)) all.set(key, (all.get(key) ?? new Set()).union(more))
    return all
  }

  return {
    canQuery: (signal) => storesIn(0n, 1n)[0]!.canQuery(signal),
    reads: (signal) => storesIn(0n, 1n)[0]!.reads(signal),
    async rawPoints(minuteNs, each, signal) {
      for (const store of storesIn(minuteNs, minuteNs + 1n)) await store.rawPoints(minuteNs, each, signal)
    },
    // A row of an hour or a day may be under each of the names that were in force in it.
    standing: (measurement, timeNs, signal) =>
      tables(storesIn(timeNs, timeNs + stepOf(measurement)), (one) => one.standing(measurement, timeNs, signal)),
    async rows(measurement, fromNs, toNs, each, signal) {
      for (const store of storesIn(fromNs, toNs)) await store.rows(measurement, fromNs, toNs, each, signal)
    },
    async kinds(fromNs, toNs, each, signal) {
      for (const store of storesIn(fromNs, toNs)) await store.kinds(fromNs, toNs, each, signal)
    },
    summed: (measurement, fromNs, toNs, signal) =>
      tables(storesIn(fromNs, toNs), (one) => one.summed(measurement, fromNs, toNs, signal)),
    reporting: (fromNs, toNs, signal) => sets(storesIn(fromNs, toNs), (one) => one.reporting(fromNs, toNs, signal)),
    usersOf: (addresses, fromNs, toNs, signal) =>
      sets(storesIn(fromNs, toNs), (one) => one.usersOf(addresses, fromNs, toNs, signal)),
    minutes: (fromNs, toNs, signal) => lists(storesIn(fromNs, toNs), (one) => one.minutes(fromNs, toNs, signal)),
    devices: (fromNs, toNs, signal) => lists(storesIn(fromNs, toNs), (one) => one.devices(fromNs, toNs, signal)),
    async newestDevices(beforeNs, signal) {
      const newest = new Map<string, DeviceVersion>()
      // From the oldest name to that of now.
      for (const store of storesIn(0n, beforeNs))
        for (const one of await store.newestDevices(beforeNs, signal)) newest.set(one.node, one)
      return [...newest.values()]
    },
  }
}
