/** Reads back from VictoriaMetrics by its export, sample by sample: raw points, rows that stand, and which minutes were made. A field is a metric there
 * (`tailnet_edge_tx_bytes`), a point as many samples as it has fields, a time is milliseconds, and there are no texts. */
import { MINUTE, MS } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { getOrInsert } from '../base/maps.ts'
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { MinuteRecord, RowMeasurement, TakeRow } from '../rollup/rows/row-store.ts'
import { addTo, exists, type RowTable, seriesKey, shapeOf } from '../rollup/rows/row-table.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { patternOf } from '../sink/influxdb/influxql.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxReaderDeps } from './influx-reader.ts'
import { rawTagsOf } from './raw-tags.ts'
import type { RowFilter } from './row-filter.ts'
import type { StoredRows } from './stored-rows.ts'

const RAW_FIELDS = ['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts', 'flows']
const MINUTE_FIELDS = ['points', 'rows', 'gap']
/** Points of version 0.1.0 have no such tag. */
const HAS_PORTS = 'src_port!=""'
/** Of one answer, which is read line by line. */
const ANSWER_BYTES_MAX = 1 << 30

type Labels = Readonly<Record<string, string>>

/** One line of an export: all samples of one field of one series. */
interface Exported {
  readonly metric: Labels
  readonly values: readonly number[]
  /** ms since the epoch. */
  readonly timestamps: readonly number[]
}

/** Fields of a measurement. `also`: more matchers, each after a comma. */
interface Wanted {
  readonly measurement: string
  readonly fields: readonly string[]
  readonly also?: string
}

/** `at`: by time (ms) the values of all fields. */
interface Series {
  readonly labels: Labels
  readonly at: Map<number, number[]>
}

/** A text of MetricsQL. */
const quoted = (text: string) => JSON.stringify(text)

/** Lists of matchers: what fits one of them is wanted. */
function matchersOf(filter: RowFilter): readonly string[] {
  return filter.reduce<readonly string[]>(
    (all, clause) =>
      all.flatMap((some) =>
        clause.map(({ tag, value, isListed }) =>
          isListed ? `${some},${tag}=~${quoted(`(.*,)?${patternOf(value)}(,.*)?`)}` : `${some},${tag}=${quoted(value)}`,
        ),
      ),
    [''],
  )
}

export function createVictoriaRowStore(
  { tailnet }: { readonly tailnet: string },
  { http, label, clock }: Pick<InfluxReaderDeps, 'http' | 'label' | 'clock'>,
): StoredRows {
  async function send(path: string, onChunk: ((chunk: Uint8Array) => void) | undefined, signal: AbortSignal) {
    const request = { method: 'GET', path, answerBytesMax: ANSWER_BYTES_MAX } as const
    return await http.send(onChunk === undefined ? request : { ...request, onChunk }, signal)
  }

  const pathOf = (filters: readonly string[], fromNs: bigint, toNs: bigint) => {
    const seconds = (ns: bigint) => String(Number(ns / MS) / 1000)
    const matches = filters.map((one) => `match[]=${encodeURIComponent(one)}`)
    return `/api/v1/export?${matches.join('&')}&start=${seconds(fromNs)}&end=${seconds(toNs - 1n)}`
  }

  /** Every sample of [fromNs, toNs) of these fields. */
  async function samples(
    { measurement, fields, also = '' }: Wanted,
    [fromNs, toNs]: readonly [bigint, bigint],
    each: (labels: Labels, field: string, ms: number, value: number) => void,
    signal: AbortSignal,
    filter: RowFilter = [],
  ): Promise<void> {
    const name = `__name__=~${quoted(`${measurement}_(${fields.join('|')})`)}`
    const filters = matchersOf(filter).map((more) => `{${name},tailnet=${quoted(tailnet)}${also}${more}}`)
    if (filters.length === 0) return
    const [fromMs, toMs] = [Number(fromNs / MS), Number(toNs / MS)]
    const lines = createLines((text) => {
      const { metric, values, timestamps } = JSON.parse(text) as Exported
      const field = metric['__name__']!.slice(measurement.length + 1)
      // A range that is too short is a longer one there.
      for (const [i, ms] of timestamps.entries()) if (ms >= fromMs && ms < toMs) each(metric, field, ms, values[i]!)
    })
    const answer = await send(pathOf(filters, fromNs, toNs), lines.push, signal)
    if (answer.status !== 200) {
      const said = messageOf(answer.body)
      throw refusal(answer, said, label, Number(clock.now() / MS))
    }
    if (answer.body !== '') lines.push(Buffer.from(answer.body))
    lines.end(label)
  }

  /** Points of a range: samples of one series and one time brought together. */
  async function points(
    what: Wanted,
    range: readonly [bigint, bigint],
    keyOf: (labels: Labels) => string,
    signal: AbortSignal,
    filter?: RowFilter,
  ): Promise<Map<string, Series>> {
    const series = new Map<string, Series>()
    /** All samples of a line have the same labels, and to make the key costs more than all else. */
    let line: Series | undefined
    const take = (labels: Labels, field: string, ms: number, value: number) => {
      if (line?.labels !== labels) {
        const { at } = getOrInsert(series, keyOf(labels), () => ({ labels, at: new Map() }))
        line = { labels, at }
      }
      getOrInsert(line.at, ms, () => what.fields.map(() => 0))[what.fields.indexOf(field)] = value
    }
    await samples(what, range, take, signal, filter)
    return series
  }

  async function eachRow(
    measurement: RowMeasurement,
    range: readonly [bigint, bigint],
    each: TakeRow,
    signal: AbortSignal,
    filter?: RowFilter,
  ): Promise<void> {
    const shape = shapeOf(measurement)
    const keyOf = (labels: Labels) =>
      seriesKey(
        shape,
        shape.tags.map((tag) => labels[tag] ?? ''),
      )
    const found = await points({ measurement, fields: shape.fields }, range, keyOf, signal, filter)
    for (const [key, { at }] of found) for (const [ms, values] of at) each(BigInt(ms) * MS, key, values.map(integer))
  }

  async function eachRaw(
    range: readonly [bigint, bigint],
    each: (point: RawPoint) => void,
    signal: AbortSignal,
    filter?: RowFilter,
  ): Promise<void> {
    const keyOf = ({ __name__, ...tags }: Labels) => JSON.stringify(Object.entries(tags).sort())
    const what = { measurement: 'tailnet_flow', fields: RAW_FIELDS, also: `,${HAS_PORTS}` }
    const found = await points(what, range, keyOf, signal, filter)
    for (const { labels, at } of found.values()) for (const [ms, values] of at) each(rawPointOf(labels, ms, values))
  }

  return {
    // Names and texts are not there.
    canQuery: async () => false,

    async reads(signal) {
      const nowNs = clock.now()
      const answer = await send(pathOf(['tailflux_minute_points'], nowNs - MINUTE, nowNs), undefined, signal)
      if (answer.status === 200) return 'numbers'
      // The part of a cluster that takes writes has no queries.
      if (answer.status === 400 || answer.status === 404) return 'nothing'
      throw refusal(answer, messageOf(answer.body), label, Number(nowNs / MS))
    },

    async rawPoints(minuteNs, each, signal) {
      await eachRaw([minuteNs, minuteNs + MINUTE], each, signal)
    },
    async rawRange(fromNs, toNs, filter, each, signal) {
      await eachRaw([fromNs, toNs], each, signal, filter)
    },

    async standing(measurement, timeNs, signal) {
      const table: RowTable = new Map()
      await eachRow(measurement, [timeNs, timeNs + MS], (_, key, fields) => table.set(key, fields), signal)
      return table
    },
    async rows(measurement, fromNs, toNs, each, signal, filter) {
      const take: TakeRow = (timeNs, key, fields) => {
        if (exists(fields)) each(timeNs, key, fields)
      }
      await eachRow(measurement, [fromNs, toNs], take, signal, filter)
    },
    async kinds(fromNs, toNs, each, signal) {
      const what = { measurement: 'tailnet_edge', fields: ['tx_bytes', 'rx_bytes'] }
      const take = ({ kind = '' }: Labels, _field: string, ms: number, bytes: number) =>
        each(BigInt(ms) * MS, kind, bytes)
      await samples(what, [fromNs, toNs], take, signal)
    },
    async summed(measurement, fromNs, toNs, signal, filter) {
      const shape = shapeOf(measurement)
      const table: RowTable = new Map()
      const add: TakeRow = (_, key, fields) => addTo(table, new Map([[key, fields]]), shape)
      await eachRow(measurement, [fromNs, toNs], add, signal, filter)
      return table
    },

    async reporting(fromNs, toNs, signal) {
      const minutes = new Map<bigint, Set<string>>()
      const take = ({ node = '' }: Labels, _field: string, ms: number, flows: number) => {
        if (flows > 0) getOrInsert(minutes, BigInt(ms) * MS, () => new Set()).add(node)
      }
      await samples({ measurement: 'tailnet_node', fields: ['flows'] }, [fromNs, toNs], take, signal)
      return minutes
    },

    async usersOf(addresses, fromNs, toNs, signal) {
      const users = new Map(addresses.map((address) => [address, new Set<string>()]))
      const also = `,kind="virtual",${HAS_PORTS},src=~${quoted(addresses.map(patternOf).join('|'))}`
      const take = ({ src = '', node = '' }: Labels) => void users.get(src)?.add(node)
      if (addresses.length > 0)
        await samples({ measurement: 'tailnet_flow', fields: ['flows'], also }, [fromNs, toNs], take, signal)
      return users
    },

    async minutes(fromNs, toNs, signal) {
      const records: MinuteRecord[] = []
      const what = { measurement: 'tailflux_minute', fields: MINUTE_FIELDS }
      const found = await points(what, [fromNs, toNs], () => '', signal)
      for (const { at } of found.values())
        for (const [ms, [count = 0, rows = 0, gap]] of at)
          records.push({ startNs: BigInt(ms) * MS, digest: '', points: count, rows, writer: '', isGap: gap === 1 })
      return records.toSorted((one, other) => Number(one.startNs - other.startNs))
    },

    tiers: async () => [],
    devices: async () => [],
    newestDevices: async () => [],
  }
}

/** Beyond 2^53 VictoriaMetrics itself rounds. */
function integer(value: number): bigint {
  return BigInt(Math.round(value))
}

function rawPointOf(labels: Labels, ms: number, values: readonly number[]): RawPoint {
  const [txBytes = 0, txPkts = 0, rxBytes = 0, rxPkts = 0, flows = 0] = values
  return {
    ...rawTagsOf((name) => labels[name] ?? ''),
    startNs: BigInt(ms) * MS,
    txBytes: integer(txBytes),
    txPkts: integer(txPkts),
    rxBytes: integer(rxBytes),
    rxPkts: integer(rxPkts),
    flows,
  }
}

/** Cuts bytes into lines. What `each` throws is thrown by `end`, because the transport must not take it for an error of the connection. */
function createLines(each: (line: string) => void) {
  const decoder = new TextDecoder()
  let rest = ''
  const failures: unknown[] = []
  return {
    push(chunk: Uint8Array): void {
      if (failures.length > 0) return
      try {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
        rest = parts.pop()!
        for (const line of parts) if (line !== '') each(line)
      } catch (failure) {
        failures.push(failure)
      }
    },
    end(label: string): void {
      const [failure] = failures
      const isCut = rest.trim() !== ''
      if (failure === undefined && !isCut) return
      if (failure !== undefined && !(failure instanceof SyntaxError)) throw failure
      throw new CollectorError(
        `${label} does not show what it holds (no export of VictoriaMetrics). Check that INFLUX_URL is VictoriaMetrics itself.`,
        { stage: 'sink', code: 'db_misconfigured', reaction: 'hold', cause: failure },
      )
    },
  }
}
