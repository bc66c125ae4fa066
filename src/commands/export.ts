/** `tailflux export`: the embedded store as line protocol, for a move to InfluxDB. */
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../main.ts'
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
      'Print what the embedded store holds as line protocol, oldest first; also beside a running service. Times are nanoseconds.',
    )
    .option('--from <time>', 'begin here (RFC 3339, or an age such as 24h), inclusive', timeArgument)
    .option('--to <time>', 'end here, inclusive', timeArgument)
    .option('--measurement <name>', 'only this one: tailnet_flow, tailnet_node or tailflux_window')
    .option('-o, --output <file>', 'write to a new file instead of standard output')
    .addHelpText(
      'after',
      `
Into InfluxDB 1.x:  tailflux export | split -l 20000 --filter='curl -fsS --data-binary @- "http://127.0.0.1:8086/write?db=tailflux"'
Into InfluxDB 2.x:  tailflux export -o points.lp && influx write --bucket tailflux --precision ns --file points.lp`,
    )
    .action(async (options: ExportOptions, command: Command) => {
      const { store } = pathsIn(load(command).settings.dataDir)
      if (!existsSync(store)) {
        throw new CollectorError(
          `There is no embedded store at ${store}; check TAILFLUX_DATA_DIR (the demo's is ./data/demo).`,
          { stage: 'config', code: 'config_invalid', reaction: 'hold' },
        )
      }
      const { from: fromNs, to: toNs, measurement } = options
      const lines = exportLines(store, {
        ...(fromNs === undefined ? {} : { fromNs }),
        ...(toNs === undefined ? {} : { toNs }),
        ...(measurement === undefined ? {} : { measurement }),
      })
      if (options.output === undefined)
        return await pipeline(Readable.from(inPieces(lines)), process.stdout, { end: false })
      const file = await open(options.output, 'wx')
      await pipeline(Readable.from(inPieces(lines)), file.createWriteStream({ flush: true }))
    })
}

/** A write per line would be slow. */
function* inPieces(lines: Iterable<string>): Generator<string> {
  let piece = ''
  for (const line of lines) {
    piece += line
    if (piece.length < 65_536) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}
