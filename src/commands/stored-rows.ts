/** Rows as they are stored, for commands that read them. */
import { existsSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../config/data-dir.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { openRows } from '../query/open-rows.ts'
import type { StoredRows } from '../query/stored-rows.ts'

/** Rejects with a CollectorError, also when there is neither InfluxDB nor an embedded store. */
export async function withRows<T>(settings: Settings, work: (rows: StoredRows) => Promise<T>): Promise<T> {
  const { influx, retention, dataDir } = settings
  const { store: storePath } = pathsIn(dataDir)
  if (influx.url === undefined && !existsSync(storePath)) {
    throw invalid(`There is no embedded store at ${storePath}; check TAILFLUX_DATA_DIR, or set INFLUX_URL.`)
  }
  const config = { influx, retention, storePath, tailnet: tailnetTag(settings) }
  const { rows, stop } = openRows(config, { clock: systemClock })
  try {
    return await work(rows)
  } finally {
    stop()
  }
}

export function noTraffic(count: number): CollectorError {
  return new CollectorError(`no traffic found in the last ${daysText(count)}; let tailflux run for a while first.`, {
    stage: 'sink',
    code: 'db_not_found',
    reaction: 'hold',
  })
}

export function invalid(text: string): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'config_invalid', reaction: 'hold' })
}

export function daysText(count: number): string {
  return count === 1 ? 'day' : `${count} days`
}
