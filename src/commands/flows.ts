/** `tailflux flows`: the stored flows of the last minutes, largest first. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { systemClock } from '../base/clock.ts'
import { bytesText, isoOf, timeText } from '../base/format.ts'
import { pathsIn } from '../config/data-dir.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { bytesOf, type Flow, type FlowFilter, flowsOfInflux, flowsOfStore, topFlows } from '../query/flows.ts'
import { createInfluxQl } from '../query/influxql.ts'
import { createInfluxHttp } from '../sink/influxdb/transport.ts'
import { KINDS } from '../source/parse/message.ts'
import { load } from './settings.ts'
import { plain } from './status.ts'
import { timeArgument } from './time.ts'

interface FlowsOptions {
  readonly from?: bigint
  readonly to?: bigint
  readonly node?: string
  readonly kind?: string
  readonly port?: string
  readonly proto?: string
  readonly limit: number
  readonly json?: boolean
}

const LIMIT = 20
const TIMEOUT_MS = 60_000

export function flowsCommand(): Command {
  return new Command('flows')
    .description('Print stored flows, summed over the last 15 minutes or another range, largest first, each flow once.')
    .option('--from <time>', 'start: RFC 3339, a day, or an age such as 2h (default: 15m)', timeArgument)
    .option('--to <time>', 'end (default: now)', timeArgument)
    .option('--node <name>', 'only flows of this device: name, address or stable id')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(KINDS))
    .option('--port <number>', 'only this service port')
    .option('--proto <name>', 'only this protocol, such as tcp')
    .option('-n, --limit <number>', 'how many to print', count, LIMIT)
    .option('--json', 'as JSON; counters are strings, because they can exceed what JSON numbers hold')
    .addHelpText(
      'after',
      `
Reads the embedded store, or InfluxDB (by InfluxQL) if INFLUX_URL is set. Can run while the service runs.
Both endpoints report a connection; the larger report is shown. Physical flows are the same traffic, encrypted, as sent on the wire.`,
    )
    .action(async (options: FlowsOptions, command: Command) => {
      const { settings } = load(command)
      const filter: FlowFilter = {
        fromNs: options.from ?? timeArgument('15m'),
        toNs: options.to ?? systemClock.now(),
        tailnet: tailnetTag(settings),
        node: options.node,
        kind: options.kind,
        port: options.port,
        proto: options.proto,
      }
      const all = await readFlows(settings, filter)
      // Without a filter by kind the same bytes would be listed twice: plain, and encrypted.
      const flows = options.kind === undefined ? all.filter(({ kind }) => kind !== 'physical') : all
      const top = topFlows(flows, options.limit)
      process.stdout.write(options.json ? jsonOf(filter, top) : tableOf(filter, top))
    })
}

async function readFlows(settings: Settings, filter: FlowFilter): Promise<readonly Flow[]> {
  const { url } = settings.influx
  if (url === undefined) return flowsOfStore(pathsIn(settings.dataDir).store, filter)
  const config = { ...settings.influx, url }
  const label = `The database at ${url}`
  const http = createInfluxHttp(config, label)
  try {
    const influxql = createInfluxQl({ ...config, retention: settings.retention }, { http, label, clock: systemClock })
    return await flowsOfInflux(influxql, filter, AbortSignal.timeout(TIMEOUT_MS))
  } finally {
    http.stop()
  }
}

function jsonOf({ fromNs, toNs, tailnet }: FlowFilter, flows: readonly Flow[]): string {
  const answer = { tailnet, from: isoOf(fromNs), to: isoOf(toNs), flows }
  return `${JSON.stringify(answer, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`
}

function tableOf({ fromNs, toNs }: FlowFilter, flows: readonly Flow[]): string {
  const range = `${timeText(isoOf(fromNs))} to ${timeText(isoOf(toNs))}`
  if (flows.length === 0) return `No flows from ${range}.\n`
  const rows = [
    ['BYTES', 'SENT', 'RECEIVED', 'KIND', 'PROTO', 'FROM', 'TO', 'REPORTED BY'],
    ...flows.map((flow) => [
      bytesText(Number(bytesOf(flow))),
      bytesText(Number(flow.txBytes)),
      bytesText(Number(flow.rxBytes)),
      flow.kind,
      flow.port === 'none' ? flow.proto : `${flow.proto} ${flow.port}`,
      plain(endpointName(flow.srcName)),
      plain(
        flow.path === 'none' || flow.path === 'direct'
          ? endpointName(flow.dstName)
          : `${endpointName(flow.dstName)} (relayed)`,
      ),
      plain(flow.nodeName),
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n\n${range}\n`
}

function endpointName(name: string): string {
  return name === 'none' ? '(not recorded)' : name
}

function count(text: string): number {
  const value = Number(text)
  if (!/^\d{1,6}$/.test(text) || value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.')
  return value
}
