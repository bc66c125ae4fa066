/** `tailflux flows`: stored traffic of the last minutes or of months, largest first. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { systemClock } from '../base/clock.ts'
import { bytesText, isoOf, timeText } from '../base/format.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { parsePort, parseProto } from '../query/flow-texts.ts'
import { answerOf, type Edge, type FlowsRequest, type FoundFlows, findFlows, type RawFlow } from '../query/flows.ts'
import { bytesOf } from '../query/largest.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'
import { load } from './settings.ts'
import { plain } from './status.ts'
import { withRows } from './stored-rows.ts'
import { timeArgument } from './time.ts'

interface FlowsOptions {
  readonly from?: bigint
  readonly to?: bigint
  readonly node?: string
  readonly owner?: string
  readonly kind?: Kind
  readonly port?: string
  readonly proto?: string
  readonly raw?: boolean
  readonly limit: number
  readonly json?: boolean
}

const LIMIT = 20
const NOT_YET =
  ' A minute is there when all of it was read (in VictoriaMetrics 16 minutes after its end), which takes longer while history is read (tailflux status); --raw shows what was read so far.'

export function flowsCommand(): Command {
  return new Command('flows')
    .description(
      'Print stored flows, summed over the last 15 minutes or another range, largest first. Each byte is counted once, although both endpoints report it.',
    )
    .option('--from <time>', 'start: RFC 3339, a day, or an age such as 2h or 90d (default: 15m)', timeArgument)
    .option('--to <time>', 'end (default: now)', timeArgument)
    .option('--node <name>', 'only flows of this device: name, address or stable id')
    .option('--owner <owner>', 'only flows of devices of this user, or with this tag, such as tag:web')
    .addOption(new Option('--kind <kind>', 'only this kind (default: all but physical)').choices(KINDS))
    .option('--port <number>', 'only this service port; none: flows without one', portArgument)
    .option('--proto <name>', 'only this protocol, such as tcp, or its number', protoArgument)
    .option('--raw', 'raw points: what each node reported, not summed; both endpoints report the same bytes')
    .option('-n, --limit <number>', 'how many to print', count, LIMIT)
    .option('--json', 'as JSON; counters are strings, because they can exceed what JSON numbers hold')
    .addHelpText(
      'after',
      `
Reads the embedded store, or InfluxDB or VictoriaMetrics if INFLUX_URL is set. Can run while the service runs. In VictoriaMetrics
rows of a minute come 16 minutes after it: give --from, or --raw.
Up to two days are read by minutes, up to 30 days by hours, longer ranges by days (UTC), as far as each is kept; the range that
is printed below the table is the one that was summed. Physical flows are the same traffic, encrypted, as sent on the wire.`,
    )
    .action(async (options: FlowsOptions, command: Command) => {
      const { settings } = load(command, { withoutCredentials: true })
      const { from, to, raw, limit, node, owner, kind, port, proto } = options
      const [fromNs, toNs] = [from ?? timeArgument('15m'), to ?? systemClock.now()]
      if (fromNs >= toNs) command.error("error: option '--from <time>' must be earlier than '--to <time>'")
      const request = { fromNs, toNs, node, owner, kind, port, proto, limit, isRaw: raw === true }
      const found = await read(settings, request)
      const json = () => `${JSON.stringify(answerOf(tailnetTag(settings), found), undefined, 2)}\n`
      process.stdout.write(options.json ? json() : textOf(found))
    })
}

async function read(settings: Settings, request: FlowsRequest): Promise<FoundFlows> {
  const networks = settings.networks.map(({ name }) => name)
  return await withRows(settings, (store) =>
    findFlows({ store, clock: systemClock, networks }, request, new AbortController().signal),
  )
}

function textOf(found: FoundFlows): string {
  const { tier, fromNs, toNs } = found
  const range = `${timeText(isoOf(fromNs))} to ${timeText(isoOf(toNs))}`
  if (found.flows.length === 0) return `No flows from ${range}.${tier === 'raw' ? '' : NOT_YET}\n`
  const rows =
    found.tier === 'raw'
      ? [
          ['BYTES', 'SENT', 'RECEIVED', 'KIND', 'PROTO', 'FROM', 'TO', 'REPORTED BY', 'TIME'],
          ...found.flows.map(rawCells),
        ]
      : [['BYTES', 'SENT', 'RECEIVED', 'KIND', 'PROTO', 'FROM', 'TO', 'OWNERS'], ...found.flows.map(edgeCells)]
  return `${tableOf(rows)}\n${range}, ${tier === 'raw' ? 'raw points' : `by ${tier}`}\n`
}

/** The first three columns are numbers. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

function edgeCells(edge: Edge): string[] {
  const { proto, port, srcName, dstName, srcOwner, dstOwner } = edge
  return [
    ...commonCells(edge),
    port === 'none' ? proto : `${proto} ${port}`,
    endpointText(srcName),
    `${endpointText(dstName)}${relayed(edge)}`,
    srcOwner === dstOwner ? plain(srcOwner) : `${plain(srcOwner)} → ${plain(dstOwner)}`,
  ]
}

function rawCells(flow: RawFlow): string[] {
  const { proto, src, srcPort, dst, dstPort, node, timeNs } = flow
  const withPort = (address: string, port: string) =>
    `${endpointText(address)}${port === 'none' ? '' : ` port ${port}`}`
  return [
    ...commonCells(flow),
    proto,
    withPort(src, srcPort),
    `${withPort(dst, dstPort)}${relayed(flow)}`,
    plain(node),
    isoOf(timeNs),
  ]
}

function commonCells(flow: Edge | RawFlow): string[] {
  const { txBytes, rxBytes, kind } = flow
  return [bytesOf(flow), txBytes, rxBytes].map((bytes) => bytesText(Number(bytes))).concat(kind)
}

function relayed({ path }: Edge | RawFlow): string {
  return path.startsWith('derp') ? ' (relayed)' : ''
}

function endpointText(name: string): string {
  return name === 'none' ? '(not recorded)' : plain(name)
}

function portArgument(text: string): string {
  const port = parsePort(text)
  if (port === undefined) throw new InvalidArgumentError('It must be a number from 0 to 65535, or none.')
  return port
}

function protoArgument(text: string): string {
  const proto = parseProto(text)
  if (proto === undefined)
    throw new InvalidArgumentError('It must be a name such as tcp, udp or icmp, or a number from 0 to 255.')
  return proto
}

function count(text: string): number {
  const value = Number(text)
  if (!/^\d{1,6}$/.test(text) || value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.')
  return value
}
