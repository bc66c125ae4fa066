/** The query for the checkpoint, in the InfluxQL that 1.x, 2.x and 3.x accept at `/query`. It never rejects because of the database:
 * a failed query must not stop the line, so every refusal is returned as a text with its fix. */
import { CollectorError } from '../../base/errors.ts'
import { tagValue } from '../../flatten/tag-value.ts'
import type { InfluxApi, InfluxConfig } from '../config.ts'
import type { CheckpointAnswer, CheckpointPoint, CheckpointState, Sink, Unanswered } from '../sink.ts'
import { messageOf } from './error-message.ts'
import { type Cell, equals, type InfluxqlAnswer, identifier, readInfluxql } from './influxql.ts'
import type { Places } from './places.ts'
import { isNothingYet, readRefusal } from './read-refusals.ts'
import type { InfluxHttp } from './transport.ts'

/** The query has a shorter timeout than a write. */
const QUESTION_MS_MAX = 10_000
/** Twelve hours of windows of a few seconds, with their late passes. */
const ANSWER_BYTES_MAX = 64 << 20
const COLUMNS = ['acked', 'watermark', 'passed', 'pass', 'writer'] as const
const STATE_COLUMNS = ['pass', 'writer', 'unsettled', 'settings'] as const

export function createCheckpointQuestions(
  config: Pick<InfluxConfig, 'timeout'> & { readonly api: InfluxApi },
  { http, label, places }: { readonly http: InfluxHttp; readonly label: string; readonly places: Places },
): Pick<Sink, 'checkpoint' | 'checkpointStates'> {
  const { db } = places
  const from = places.from('tailflux_window')

  function refused(status: number | undefined, said: string): Unanswered {
    const fix = readRefusal(status, said, config.api)?.fix
    const text = [status, said].filter((part) => part !== undefined && part !== '').join(': ')
    return {
      cannotBeQueried: `${label} does not show its checkpoint (${text}). ${fix ?? 'Run `tailflux check`, and see the log of the database'}.`,
    }
  }

  /** The rows of a question; undefined in place of a database that is not there yet. */
  async function ask(
    columns: readonly string[],
    where: string,
    signal: AbortSignal,
  ): Promise<InfluxqlAnswer | Unanswered | undefined> {
    const query = `SELECT ${columns.map(identifier).join(', ')} FROM ${from} WHERE ${where}`
    const patienceMs = Math.min(config.timeout, QUESTION_MS_MAX)
    const patience = AbortSignal.timeout(patienceMs)
    try {
      const { status, body } = await http.send(
        {
          method: 'GET',
          path: `/query?db=${encodeURIComponent(db)}&epoch=ns&q=${encodeURIComponent(query)}`,
          headers: { accept: 'application/json' },
          answerBytesMax: ANSWER_BYTES_MAX,
        },
        AbortSignal.any([signal, patience]),
      )
      const answer = readInfluxql(body)
      if (status === 200 && answer !== undefined && answer.error === undefined) return answer
      const said = answer?.error ?? messageOf(body)
      // A database of 3.x that was deleted is created again by the next write: until then it is empty.
      if (isNothingYet(status, said, config.api)) return undefined
      return refused(status, said)
    } catch (error) {
      signal.throwIfAborted()
      if (patience.aborted) return refused(undefined, `no answer within ${patienceMs / 1000} s, timeout`)
      if (!(error instanceof CollectorError)) throw error
      return { cannotBeQueried: error.message }
    }
  }

  return {
    async checkpoint(tailnet, { fromNs, toNs }, signal) {
      const where = `${equals('tailnet', tagValue(tailnet))} AND time >= ${fromNs} AND time <= ${toNs}`
      const answer = await ask(COLUMNS, where, signal)
      if (answer === undefined) return { points: [] }
      return 'cannotBeQueried' in answer ? answer : read(answer)
    },
    async checkpointStates(tailnet, timeNs, signal) {
      const answer = await ask(STATE_COLUMNS, `${equals('tailnet', tagValue(tailnet))} AND time = ${timeNs}`, signal)
      if (answer === undefined) return { states: [] }
      return 'cannotBeQueried' in answer ? answer : { states: readStates(answer) }
    },
  }

  function readStates({ tables }: InfluxqlAnswer): CheckpointState[] {
    const [table] = tables
    if (table === undefined) return []
    const textIn = (row: readonly Cell[], name: string) => {
      const cell = row[table.columns.indexOf(name)]
      return typeof cell === 'string' && cell !== '' ? cell : undefined
    }
    return table.rows.map((row) => ({
      pass: textIn(row, 'pass') ?? '',
      writer: textIn(row, 'writer'),
      unsettled: textIn(row, 'unsettled'),
      settings: textIn(row, 'settings'),
    }))
  }

  function read({ tables, isPartial }: InfluxqlAnswer): CheckpointAnswer {
    const [table] = tables
    if (table === undefined) return { points: [] }
    const at = (name: string) => table.columns.indexOf(name)
    const [time, acked, watermark, passed, pass, writer] = ['time', ...COLUMNS].map(at) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    // VictoriaMetrics answers every query with a list of databases.
    if (time < 0 || acked < 0 || pass < 0) {
      return {
        cannotBeQueried:
          'The server has no InfluxQL (VictoriaMetrics has none), so its content cannot be queried. Nothing needs to be fixed.',
        isByNature: true,
      }
    }
    if (isPartial) {
      return {
        cannotBeQueried: `${label} shows only a part of its checkpoint. Raise max-row-limit under [http] in influxdb.conf, or set it to 0.`,
      }
    }
    return {
      points: table.rows.flatMap((row): CheckpointPoint[] => {
        const timeNs = integer(row[time])
        if (timeNs === undefined) return []
        const name = row[writer]
        return [
          {
            timeNs,
            pass: String(row[pass] ?? ''),
            writer: typeof name === 'string' && name !== '' ? name : undefined,
            ackedNs: integer(row[acked]),
            watermarkNs: integer(row[watermark]),
            passedNs: integer(row[passed]),
          },
        ]
      }),
    }
  }
}

function integer(cell: Cell | undefined): bigint | undefined {
  if (typeof cell === 'bigint') return cell
  return typeof cell === 'string' && /^-?\d+$/.test(cell) ? BigInt(cell) : undefined
}
