/** `tailflux export`: the embedded store as line protocol, for a move to InfluxDB. */
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../config/data-dir.ts'
import { exportLines } from '../sink/sqlite/export.ts'
import { load } from './settings.ts'
import { timeArgument } from './time.ts'

interface ExportOptions {
  readonly from?: bigint
  readonly to?: bigint
  readonly measurement?: string
  readonly output?: string
}

export function exportCommand(): Command {
  return new Command('export')
    .description(
      'Print the embedded store as line protocol, oldest first, with times in nanoseconds. Can run while the service runs.',
    )
    .option('--from <time>', 'start (RFC 3339, or an age such as 24h), inclusive', timeArgument)
    .option('--to <time>', 'end, inclusive', timeArgument)
    .option('--measurement <name>', 'only this measurement, such as tailnet_flow, tailnet_edge_1h or tailflux_window')
    .option('-o, --output <file>', 'write to a new file instead of standard output')
    .addHelpText(
      'after',
      `
Into InfluxDB 1.x:  tailflux export | split -l 20000 --filter='curl -fsS --data-binary @- "http://127.0.0.1:8086/write?db=tailflux"'
Into InfluxDB 2.x:  tailflux export -o points.lp && influx write --bucket tailflux --precision ns --file points.lp
With retention.raw or retention.minutes set, export each measurement by itself, into its place (docs/operations.md, "Places and retention").`,
    )
    .action(async (options: ExportOptions, command: Command) => {
      const { from: fromNs, to: toNs, measurement } = options
      if (fromNs !== undefined && toNs !== undefined && fromNs > toNs)
        command.error("error: option '--from <time>' must not be later than '--to <time>'")
      const { store } = pathsIn(load(command, { withoutCredentials: true }).settings.dataDir)
      if (!existsSync(store)) {
        throw new CollectorError(
          `There is no embedded store at ${store}; check TAILFLUX_DATA_DIR (the demo's is ./data/demo).`,
          { stage: 'config', code: 'config_invalid', reaction: 'hold' },
        )
      }
      const lines = exportLines(store, {
        ...(fromNs === undefined ? {} : { fromNs }),
        ...(toNs === undefined ? {} : { toNs }),
        ...(measurement === undefined ? {} : { measurement }),
      })
      if (options.output === undefined)
        return await pipeline(Readable.from(inChunks(lines)), process.stdout, { end: false })
      const file = await open(options.output, 'wx')
      await pipeline(Readable.from(inChunks(lines)), file.createWriteStream({ flush: true }))
    })
}

/** A write per line would be slow. */
function* inChunks(lines: Iterable<string>): Generator<string> {
  let chunk = ''
  for (const line of lines) {
    chunk += line
    if (chunk.length < 65_536) continue
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}
