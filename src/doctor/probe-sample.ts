/** Writes one point of `tailflux_check` as the service writes, and reads it back. */
import { type Clock, MS } from '../base/clock.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { cellOf, equals, type Table } from '../sink/influxdb/influxql.ts'
import type { Place } from '../sink/influxdb/places.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'
import { encodeLine } from '../sink/line-protocol/encode-line.ts'
import type { DeadLetter, DeadLetters, Sink } from '../sink/sink.ts'
import { type Outcome, outcomeOf } from './finding.ts'

/** Result of writing one point. */
export interface Sample {
  readonly written: number
  /** The database's message about a line that it refused. */
  readonly refused: string | undefined
  readonly readBack: 'equal' | 'missing' | 'different' | Outcome<never>
  readonly durationMs: number
}

/** Tables of a query. Rejects with a CollectorError. */
export type Ask = (query: string, signal: AbortSignal) => Promise<readonly Table[]>

export interface SampleDeps {
  readonly http: InfluxHttp
  readonly label: string
  readonly clock: Clock
  readonly tailnet: string
  /** A sink that writes as the service does, with dead letters of its own. */
  readonly createSink: (deadLetters: Pick<DeadLetters, 'append'>) => Sink
  readonly ask: Ask
}

const MEASUREMENT = 'tailflux_check'
const READ_PATIENCE_MS = 1_000
/** VictoriaMetrics shows new points only after some seconds, unless it is asked to flush them. */
const READ_PATIENCE_SLOW_MS = 15_000
const READ_EVERY_MS = 250

/** `isVictoriaMetrics`: read back by its export instead of InfluxQL. Rejects with a CollectorError when the point cannot be written. */
export async function writeAndRead(
  place: Place,
  deps: SampleDeps,
  isVictoriaMetrics: boolean,
  signal: AbortSignal,
): Promise<Sample> {
  const { http, label, clock } = deps
  const letters: DeadLetter[] = []
  const writer = deps.createSink({
    append: async (more) => {
      letters.push(...more)
      return more
    },
  })
  const beganMs = clock.monotonicMs()
  const ns = clock.now()
  const nonce = BigInt(Math.floor(Math.random() * 2 ** 48))
  const bytes = encodeLine(MEASUREMENT, { tailnet: deps.tailnet }, { nonce }, ns)
  try {
    const receipt = await writer.write({ bytes, lineCount: 1, target: place.target }, signal)
    const refused = letters[0] && (letters[0].detail ?? letters[0].reason)
    const readBack = receipt.written === 0 ? 'missing' : await read(ns, nonce)
    return { written: receipt.written, refused, readBack, durationMs: clock.monotonicMs() - beganMs }
  } finally {
    await writer.stop()
  }

  async function read(ns: bigint, nonce: bigint): Promise<Sample['readBack']> {
    if (isVictoriaMetrics) await get('/internal/force_flush', 'text/plain')
    const untilMs = clock.monotonicMs() + (isVictoriaMetrics ? READ_PATIENCE_SLOW_MS : READ_PATIENCE_MS)
    for (;;) {
      const found = await outcomeOf(() => (isVictoriaMetrics ? exported(ns) : selected(ns)))
      if ('error' in found) return found
      if (found.value === nonce) return 'equal'
      if (found.value !== undefined) return 'different'
      if (clock.monotonicMs() >= untilMs) return 'missing'
      await clock.sleep(READ_EVERY_MS, signal)
    }
  }

  async function selected(ns: bigint): Promise<bigint | undefined> {
    const tables = await deps.ask(
      `SELECT "nonce" FROM ${place.from(MEASUREMENT)} WHERE ${equals('tailnet', deps.tailnet)} AND time = ${ns}`,
      signal,
    )
    const [table] = tables
    const cell = table && cellOf(table, table.rows[0] ?? [], 'nonce')
    return typeof cell === 'bigint' ? cell : undefined
  }

  async function exported(ns: bigint): Promise<bigint | undefined> {
    const match = `${MEASUREMENT}_nonce{tailnet=${JSON.stringify(deps.tailnet)}}`
    const ms = ns / MS
    const range = `&start=${Number(ms) / 1000 - 1}&end=${Number(ms) / 1000 + 1}`
    const answer = await get(`/api/v1/export?match[]=${encodeURIComponent(match)}${range}`)
    if (answer.status !== 200) throw refusal(answer, messageOf(answer.body), label, Number(clock.now() / MS))
    const series = answer.body.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Exported]))
    const value = series.flatMap((one) => one.values.filter((_, index) => one.timestamps[index] === Number(ms)))[0]
    return value === undefined ? undefined : BigInt(value)
  }

  async function get(path: string, accept = 'application/json') {
    return await http.send({ method: 'GET', path, headers: { accept } }, signal)
  }
}

interface Exported {
  readonly values: readonly number[]
  readonly timestamps: readonly number[]
}
