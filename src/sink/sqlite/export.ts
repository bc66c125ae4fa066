/** The embedded store as line protocol again, for a move to InfluxDB. */
import { type StoredRange, storedPoints } from './stored-points.ts'

/** Lines of a store file, oldest first, byte for byte as they were written. Also while the service runs: the lines are those of the moment when the
 * export begins. Throws a CollectorError when the file cannot be read. */
export function* exportLines(path: string, range: StoredRange = {}): Iterable<string> {
  for (const { key, fields, ns } of storedPoints(path, range)) yield `${key} ${fields} ${ns}\n`
}
