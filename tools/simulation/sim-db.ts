/** A database in memory behind the real write policy: it takes requests as InfluxDB 1.x does (facts: `src/sink/influxdb/response-policy.ts`), keeps one
 * row per series and timestamp, and fails on request. */
import { CollectorError } from '../../src/base/errors.ts'
import type { RawAnswer } from '../../src/sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { linesOf } from '../../test/helpers/lines.ts'
import { parseLine } from '../../test/sink/line-protocol/parse-lines.ts'
import { keyOf, POISON_ADDRESS } from './sim-records.ts'

export const DB_FAULTS = [
  'refused',
  'hang', // no answer; nothing happened
  'lost_answer', // no answer; everything happened
  'half', // no answer; the first half of the lines happened
  'overloaded',
  'unavailable',
  'unauthorized',
  'not_found',
  'too_large',
  'portal', // 200 instead of 204: something else answers
] as const
export type DbFault = (typeof DB_FAULTS)[number]

export interface SimDb {
  /** Fields as in the line, by `keyOf`. */
  rows: Map<string, string>
  fault: DbFault | undefined
  /** The fault spares whoever only asks. */
  isSly: boolean
  readonly http: InfluxHttp
  /** Acknowledged requests that wrote flows. */
  writes: number
  /** It goes down now: requests in progress die with it. */
  goDown(): void
  /** A copy of what it holds, as a backup has it. */
  backup(): Map<string, string>
  /** It crashed: what was acknowledged since `sinceMs` (virtual time) is gone. Returns how many rows. */
  loseSince(sinceMs: number): number
}

export interface SimDbDeps {
  readonly nowMs: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly latencyMs: () => number
  readonly bite: (name: string) => void
}

const TIMEOUT_MS = 30_000
const REQUEST_BYTES_MAX = 700
/** Rows are remembered with what they replaced for so long, so that a crash can take them back. */
const UNDO_MS = 600_000

/** Series of lines in the one order of tags that the oracle has too; the same few come again and again. */
const seriesSeen = new Map<string, string>()
function seriesOf(text: string): string {
  let series = seriesSeen.get(text)
  if (series === undefined) {
    series = keyOf(parseLine(`${text} a=0i 0`)).slice(0, -2)
    seriesSeen.set(text, series)
  }
  return series
}

export function createSimDb(deps: SimDbDeps): SimDb {
  let lives = 0
  let undo: { atMs: number; key: string; before: string | undefined }[] = []

  function put(line: string): boolean {
    if (line.includes(POISON_ADDRESS) && line.startsWith('tailnet_flow')) {
      deps.bite('db refuses a line')
      return false
    }
    const last = line.lastIndexOf(' ')
    const blank = line.lastIndexOf(' ', last - 1)
    const key = seriesOf(line.slice(0, blank)) + line.slice(last)
    undo.push({ atMs: deps.nowMs(), key, before: db.rows.get(key) })
    db.rows.set(key, line.slice(blank + 1, last))
    return true
  }

  function write(body: string): RawAnswer {
    const lines = linesOf(body).filter((line) => !line.startsWith('#'))
    const oldestMs = deps.nowMs() - UNDO_MS
    if (undo.length > 5_000) undo = undo.filter((one) => one.atMs >= oldestMs)
    const refused = lines.filter((line) => !put(line))
    if (lines.some((line) => !line.startsWith('tailflux_window'))) db.writes += 1
    if (refused.length === 0) return { status: 204, headers: {}, body: '' }
    // Some faults are reported with the lines, some without.
    const why =
      db.writes % 2 === 0
        ? 'max key length exceeded: 65536 > 65535'
        : refused.map((line) => `unable to parse '${line}': time outside range`).join('\n')
    return {
      status: 400,
      headers: {},
      body: JSON.stringify({ error: `partial write: ${why} dropped=${refused.length}` }),
    }
  }

  /** The question for the checkpoint, as 1.x answers it. */
  function checkpoint(query: string): RawAnswer {
    const [fromNs, toNs] = [/time >?= (\d+)/, /time <?= (\d+)/].map((bound) => BigInt(bound.exec(query)?.[1] ?? '-1'))
    const values: string[] = []
    for (const [key, fields] of db.rows) {
      if (!key.startsWith('tailflux_window')) continue
      const timeNs = BigInt(key.slice(key.lastIndexOf(' ') + 1))
      if (timeNs < (fromNs ?? 0n) || timeNs > (toNs ?? 0n)) continue
      const field = (name: string) => new RegExp(`(?:^|,)${name}=(-?\\d+)i`).exec(fields)?.[1] ?? 'null'
      const text = (name: string) => new RegExp(`(?:^|,)${name}=("[^"]*")`).exec(fields)?.[1] ?? 'null'
      const tag = (name: string) => `"${new RegExp(`,${name}=([^, ]*)`).exec(key)?.[1] ?? ''}"`
      const numbers = ['acked', 'watermark', 'passed'].map(field)
      const cells = [timeNs, ...numbers, tag('pass'), tag('writer'), text('unsettled'), text('settings')]
      values.push(`[${cells.join()}]`)
    }
    const columns = '["time","acked","watermark","passed","pass","writer","unsettled","settings"]'
    const series = `,"series":[{"name":"tailflux_window","columns":${columns},"values":[${values.join()}]}]`
    return { status: 200, headers: {}, body: `{"results":[{"statement_id":0${values.length === 0 ? '' : series}}]}` }
  }

  async function timeout(signal: AbortSignal): Promise<never> {
    await deps.sleep(TIMEOUT_MS, signal)
    throw new CollectorError('simulated: no answer', { stage: 'sink', code: 'db_timeout', reaction: 'retry' })
  }

  const db: SimDb = {
    rows: new Map(),
    fault: undefined,
    isSly: false,
    writes: 0,
    goDown() {
      lives += 1
    },
    backup: () => new Map(db.rows),
    loseSince(sinceMs) {
      const before = db.rows.size
      while ((undo.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) >= sinceMs) {
        const one = undo.pop()!
        if (one.before === undefined) db.rows.delete(one.key)
        else db.rows.set(one.key, one.before)
      }
      return before - db.rows.size
    },
    http: {
      async send(request, signal) {
        signal.throwIfAborted()
        const latencyMs = deps.latencyMs()
        const life = lives
        if (latencyMs > 0) await deps.sleep(latencyMs, signal)
        if (life !== lives) throw unreachable()
        const isQuestion = request.method === 'GET' || isComment(request.body)
        const fault = isQuestion && db.isSly ? undefined : db.fault
        if (fault !== undefined) deps.bite(`db ${fault}${isQuestion ? '' : ' in mid-write'}`)
        const isWrite = request.path.startsWith('/write')
        const body = isWrite ? Buffer.from(request.body as Uint8Array).toString() : ''
        switch (fault) {
          case 'refused':
            throw unreachable()
          case 'hang':
            return await timeout(signal)
          case 'lost_answer':
            if (isWrite) write(body)
            return await timeout(signal)
          case 'half':
            if (isWrite) write(body.slice(0, body.indexOf('\n', body.length / 2) + 1))
            return await timeout(signal)
          case 'overloaded':
            return { status: 429, headers: { 'retry-after': '20' }, body: '' }
          case 'unavailable':
            return { status: 503, headers: {}, body: '{"error":"starting"}' }
          case 'unauthorized':
            return { status: 401, headers: {}, body: '{"error":"authorization failed"}' }
          case 'not_found':
            return { status: 404, headers: {}, body: '{"error":"database not found: \\"flows\\""}' }
          case 'portal':
            return { status: 200, headers: {}, body: '<html>' }
          case 'too_large':
            if (body.length > REQUEST_BYTES_MAX)
              return { status: 413, headers: {}, body: '{"error":"Request Entity Too Large"}' }
        }
        return isWrite ? write(body) : checkpoint(decodeURIComponent(request.path))
      },
      stop: () => undefined,
    },
  }
  return db
}

function unreachable(): CollectorError {
  return new CollectorError('simulated: unreachable', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
}

function isComment(body: Uint8Array | string | undefined): boolean {
  return body === undefined || Buffer.from(body).subarray(0, 1).toString() === '#'
}
