/** The plain route, as one would write it first: the whole answer in memory, a `Point` per entry, the client's own WriteApi. It makes the same
 * tags and fields as the service but neither folds nor checks anything, and milliseconds are all that `Date` gives. */
import { InfluxDB, Point, type Transport, type WriteApi } from '@influxdata/influxdb-client'

interface PlainEntry {
  readonly proto?: number
  readonly src?: string
  readonly dst?: string
  readonly txPkts?: number
  readonly txBytes?: number
  readonly rxPkts?: number
  readonly rxBytes?: number
}
interface PlainMessage {
  readonly nodeId: string
  readonly start: string
  readonly virtualTraffic?: readonly PlainEntry[]
  readonly subnetTraffic?: readonly PlainEntry[]
  readonly exitTraffic?: readonly PlainEntry[]
  readonly physicalTraffic?: readonly PlainEntry[]
}

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
export const PLAIN_BATCH = 5_000

export interface PlainResult {
  readonly entries: number
}

/** `flushEvery`: wait for the database after this many points; without it all are handed over at once. */
export async function plain(answer: Response, api: WriteApi, flushEvery = Infinity): Promise<PlainResult> {
  const { logs } = (await answer.json()) as { logs: readonly PlainMessage[] }
  let entries = 0
  for (const message of logs) {
    const start = new Date(message.start)
    for (const kind of KINDS) {
      for (const entry of message[`${kind}Traffic`] ?? []) {
        const [src, srcPort] = split(entry.src)
        const [dst, dstPort] = split(entry.dst)
        const point = new Point('tailnet_flow')
          .tag('tailnet', 'default')
          .tag('node', message.nodeId)
          .tag('kind', kind)
          .tag('proto', String(entry.proto ?? 'none'))
          .tag('src', src)
          .tag('dst', dst)
          .tag('src_port', srcPort < dstPort ? String(srcPort) : 'none')
          .tag('dst_port', dstPort <= srcPort ? String(dstPort) : 'none')
          .tag('path', kind === 'physical' ? 'direct' : 'none')
          .intField('tx_bytes', entry.txBytes ?? 0)
          .intField('tx_pkts', entry.txPkts ?? 0)
          .intField('rx_bytes', entry.rxBytes ?? 0)
          .intField('rx_pkts', entry.rxPkts ?? 0)
          .intField('flows', 1)
          .timestamp(start)
        api.writePoint(point)
        entries += 1
        if (entries % flushEvery === 0) await api.flush()
      }
    }
  }
  await api.flush()
  return { entries }
}

function split(end: string | undefined): [address: string, port: number] {
  if (end === undefined) return ['none', 0]
  const colon = end.lastIndexOf(':')
  return [end.slice(0, colon).replace(/^\[|\]$/g, ''), Number(end.slice(colon + 1))]
}

/** A client whose requests end here: makes the bytes of each request and throws them away, so that encoding alone is measured. */
export function discarding(): InfluxDB {
  const transport: Pick<Transport, 'send'> = {
    send(_path, body, _options, callbacks) {
      Buffer.from(body)
      callbacks?.responseStarted?.({}, 204)
      callbacks?.complete?.()
    },
  }
  return new InfluxDB({ url: 'http://127.0.0.1:1', transport: transport as Transport })
}

export const WRITE_OPTIONS = { batchSize: PLAIN_BATCH, flushInterval: 0, maxRetries: 0 }
