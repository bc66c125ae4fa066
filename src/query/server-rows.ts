/** Rows of a server that may be InfluxDB or VictoriaMetrics, which takes the same writes: it is asked once which of them it is. */
import type { StoredRows } from './stored-rows.ts'

export function createServerRows(influx: StoredRows, victoria: StoredRows): StoredRows {
  let known: StoredRows | undefined

  /** One that has neither queries in InfluxQL nor an export is told as InfluxDB tells it. */
  async function server(signal: AbortSignal): Promise<StoredRows> {
    known ??= (await influx.canQuery(signal)) || (await victoria.reads(signal)) === 'nothing' ? influx : victoria
    return known
  }

  return {
    canQuery: async (signal) => (await server(signal)).canQuery(signal),
    reads: async (signal) => (await server(signal)).reads(signal),
    rawPoints: async (minuteNs, each, signal) => (await server(signal)).rawPoints(minuteNs, each, signal),
    rawRange: async (fromNs, toNs, filter, each, signal) =>
      (await server(signal)).rawRange(fromNs, toNs, filter, each, signal),
    standing: async (measurement, timeNs, signal) => (await server(signal)).standing(measurement, timeNs, signal),
    rows: async (measurement, fromNs, toNs, each, signal, filter) =>
      (await server(signal)).rows(measurement, fromNs, toNs, each, signal, filter),
    kinds: async (fromNs, toNs, each, signal) => (await server(signal)).kinds(fromNs, toNs, each, signal),
    summed: async (measurement, fromNs, toNs, signal, filter) =>
      (await server(signal)).summed(measurement, fromNs, toNs, signal, filter),
    reporting: async (fromNs, toNs, signal) => (await server(signal)).reporting(fromNs, toNs, signal),
    usersOf: async (addresses, fromNs, toNs, signal) => (await server(signal)).usersOf(addresses, fromNs, toNs, signal),
    minutes: async (fromNs, toNs, signal) => (await server(signal)).minutes(fromNs, toNs, signal),
    tiers: async (nowNs, signal) => (await server(signal)).tiers(nowNs, signal),
    devices: async (fromNs, toNs, signal) => (await server(signal)).devices(fromNs, toNs, signal),
    newestDevices: async (beforeNs, signal) => (await server(signal)).newestDevices(beforeNs, signal),
  }
}
