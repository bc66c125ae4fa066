/** `tailflux grafana export`: alert rules as provisioning files. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { grafanaExport, RULES_FILE } from '../alerts/export/grafana.ts'
import type { QueryOptions } from '../alerts/export/grafana-query.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { pollTimes } from '../schedule/config.ts'
import { createPlaceNames } from '../sink/influxdb/places.ts'
import { EXIT } from './exit.ts'
import { load } from './settings.ts'

/** How long after lag and poll interval what was read is certainly in the database. */
const SETTLE_MS = 60_000

export function grafanaCommand(): Command {
  return new Command('grafana').description('Export alert rules for Grafana.').addCommand(exportRulesCommand())
}

/** How the exported rules query the configured database. */
function grafanaOptions(settings: Settings): QueryOptions {
  const { influx, poll, retention } = settings
  return {
    tailnet: tailnetTag(settings),
    delaySeconds: Math.ceil((poll.lag + pollTimes(poll).gapMs + SETTLE_MS) / 1000),
    networks: [...new Set(settings.networks.map(({ name }) => name))],
    from: createPlaceNames({ ...influx, retention }).from,
  }
}

function exportRulesCommand(): Command {
  return new Command('export')
    .description(
      'Write alerts.rules as provisioning files for Grafana (rules and an optional contact point, never notification policies).',
    )
    .option('-o, --out <folder>', 'directory for the files; without it they are printed')
    .option('--check', 'write nothing; fail if the files in the directory differ from the settings')
    .action(async (options: { out?: string; check?: boolean }, command: Command) => {
      const { settings } = load(command)
      const { out } = options
      const before = out === undefined ? undefined : await textOf(join(out, RULES_FILE))
      const { files, skipped } = grafanaExport(settings.alerts, grafanaOptions(settings), before)
      for (const { rule, reason } of skipped)
        process.stderr.write(`tailflux: rule ${rule} is not exported: ${reason}.\n`)
      if (out === undefined) {
        if (options.check)
          throw command.error('tailflux: --check needs --out with the directory to check.', { exitCode: EXIT.usage })
        for (const [name, text] of files) process.stdout.write(`# ${name}\n${text}`)
        return
      }
      if (!options.check) await mkdir(out, { recursive: true })
      for (const [name, text] of files) {
        const path = join(out, name)
        const isSame = (await textOf(path)) === text
        if (!options.check && !isSame) await writeFile(path, text)
        if (options.check && !isSame) {
          process.stderr.write(
            `tailflux: ${path} differs from the settings; run tailflux grafana export --out ${out}.\n`,
          )
          process.exitCode = EXIT.failed
        }
      }
    })
}

async function textOf(path: string): Promise<string | undefined> {
  return existsSync(path) ? await readFile(path, 'utf8') : undefined
}
