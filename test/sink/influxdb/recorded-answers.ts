/** What real servers answered, word for word: InfluxDB 2.9.1 and 3 Core 3.10.1, one request and answer per line of `answers/*.ndjson`. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonLinesOf } from '../../helpers/lines.ts'

export interface RecordedAnswer {
  readonly title: string
  readonly request: { readonly method: string; readonly path: string; readonly body: string | null }
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }
}

/** `version`: as the file's name says, or all. */
export function recordedAnswers(version: '2.9.1' | '3.10.1' | '*' = '*'): RecordedAnswer[] {
  return globSync(join(import.meta.dirname, `answers/influxdb-${version}.ndjson`)).flatMap((file) =>
    jsonLinesOf<RecordedAnswer>(readFileSync(file, 'utf8')),
  )
}
