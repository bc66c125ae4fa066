/** The embedded store as line protocol again, for a move to InfluxDB. */
import { prepareExact } from '../../base/sqlite.ts'
import { openStoreReader, storeError } from './store-file.ts'

export interface ExportRange {
  /** Inclusive. */
  readonly fromNs?: bigint | undefined
  /** Inclusive. */
  readonly toNs?: bigint | undefined
  readonly measurement?: string | undefined
}

/** A point as it was written: measurement and tags, and fields, as they stand in its line. */
export interface StoredPoint {
  readonly key: string
  readonly fields: string
  readonly ns: bigint
}

/** Lines of a store file, oldest first, byte for byte as they were written. Also while the service runs: the lines are those of the moment when the
 * export begins. Throws a CollectorError when the file cannot be read. */
export function* exportLines(path: string, range: ExportRange = {}): Iterable<string> {
  for (const { key, fields, ns } of storedPoints(path, range)) yield `${key} ${fields} ${ns}\n`
}

/** The same, taken apart. */
export function* storedPoints(path: string, range: ExportRange = {}): Iterable<StoredPoint> {
  const db = openStoreReader(path)
  try {
    const rows = prepareExact(
      db,
      'SELECT key, fields, ns FROM point JOIN series ON series.id = point.series WHERE ns BETWEEN ? AND ? AND key >= ? AND key < ? ORDER BY ns, point.series',
    )
    rows.setReturnArrays(true)
    const { fromNs = -(1n << 63n), toNs = (1n << 63n) - 1n, measurement } = range
    // A measurement ends at a comma; a minus is what follows a comma.
    const [first, last] = measurement === undefined ? ['', '\u{10ffff}'] : [`${measurement},`, `${measurement}-`]
    for (const row of rows.iterate(fromNs, toNs, first, last)) {
      const [key, fields, ns] = row as unknown as [string, string, bigint]
      yield { key, fields, ns }
    }
  } catch (error) {
    throw storeError(path, error)
  } finally {
    db.close()
  }
}
