/** Reads the checkpoint back from the database, and checks whether its answers can be trusted: only if they show what was just written.
 * With a token of another organisation, a mapping to another bucket, or a second database behind one address they do not. */
import type { Clock } from '../../base/clock.ts'
import { HOUR } from '../../base/clock.ts'
import type { Interval } from '../../ledger/ledger.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { CheckpointPoint, Sink } from '../../sink/sink.ts'
import { max } from '../window-size.ts'

/** Why the checkpoint proves nothing at the moment. */
export interface Unproven {
  readonly code: 'checkpoint_unanswered' | 'checkpoint_unseen' | 'db_rejected'
  /** A sentence that ends with the fix. */
  readonly text: string
  readonly isByNature: boolean
}

export interface CheckpointReader {
  /** Points with a time in the range, newest hours first; ends early when `isEnough` returns true. */
  read(range: Interval, signal: AbortSignal, isEnough?: (points: readonly CheckpointPoint[]) => boolean): Promise<Read>
  /** Writes a point of that time and reads it back. `unkept`: it was accepted and cannot be read, or is beyond the retention. Rejects with
   * the CollectorError of the write, or the signal's reason. */
  probe(timeNs: bigint, signal: AbortSignal): Promise<'shown' | 'unkept' | Unproven>
  /** Writes that reading went back to this watermark, for a later start without the state file. Rejects as `probe`. */
  wentBack(timeNs: bigint, watermarkNs: bigint, signal: AbortSignal): Promise<void>
}

type Read = { readonly points: readonly CheckpointPoint[] } | Unproven

/** Range of one query: InfluxDB 3 Core reads at most 432 files of ten minutes. */
const PIECE_NS = 12n * HOUR
/** The longest time for all queries of one read. */
const READ_MS_MAX = 300_000
/** Waits between queries, ms. InfluxDB 3 shows a point after the next flush of its log, up to a second later; replicas may take longer. */
const LOOK_AGAIN_MS = [250, 500, 1_000, 1_500, 2_000]
/** The pass of probe points; windows have numbers. */
const PROBE_PASS = 'probe'

const SLOW =
  'the database answers the queries for the checkpoint too slowly. Check its load, and the network between it and tailflux'
const UNSEEN =
  'tailflux cannot read back what it just wrote to the database. InfluxDB 2.x answers InfluxQL for the organisation of the token and by the mapping of the database name: check that INFLUX_ORG is the organisation of the token, and that the mapping leads to the bucket (influx v1 dbrp list). Otherwise check that INFLUX_URL leads to one database only'
export const REFUSED =
  'the database refuses the points of tailflux_window, so lost points are not noticed. The dead letters say why: a field type conflict (drop that measurement), or a retention of minutes (raise it)'

export function createCheckpointReader(
  options: { readonly tailnet: string },
  deps: {
    readonly sink: Pick<Sink, 'write' | 'checkpoint'>
    readonly writer: string
    readonly nextAckNs: () => bigint
    readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>
  },
): CheckpointReader {
  const { sink, writer } = deps
  const { tailnet } = options

  async function ask(range: Interval, signal: AbortSignal): Promise<Read> {
    const answer = await sink.checkpoint(tailnet, range, signal)
    if ('points' in answer) return answer
    return { code: 'checkpoint_unanswered', text: answer.cannotBeQueried, isByNature: answer.isByNature ?? false }
  }

  async function write(pass: string, fields: Record<string, bigint>, timeNs: bigint, signal: AbortSignal) {
    const bytes = encodeLine('tailflux_window', { pass, tailnet, writer }, fields, timeNs)
    return await sink.write({ bytes, lineCount: 1, target: 'main' }, signal)
  }

  return {
    async read({ fromNs, toNs }, signal, isEnough = () => false) {
      const points: CheckpointPoint[] = []
      const untilMs = deps.clock.monotonicMs() + READ_MS_MAX
      for (let endNs = toNs; endNs >= fromNs; endNs -= PIECE_NS) {
        const found = await ask({ fromNs: max(fromNs, endNs - PIECE_NS + 1n), toNs: endNs }, signal)
        if ('code' in found) return found
        points.push(...found.points.filter(({ pass }) => pass !== PROBE_PASS))
        if (isEnough(points)) break
        if (deps.clock.monotonicMs() > untilMs) return { code: 'checkpoint_unanswered', text: SLOW, isByNature: false }
      }
      return { points }
    },

    async wentBack(timeNs, watermarkNs, signal) {
      const fields = { acked: deps.nextAckNs(), watermark: watermarkNs, passed: watermarkNs }
      await write('recovery', fields, timeNs, signal)
    },

    async probe(timeNs, signal) {
      const ackedNs = deps.nextAckNs()
      const receipt = await write(PROBE_PASS, { acked: ackedNs }, timeNs, signal)
      if (receipt.expired > 0) return 'unkept'
      if (receipt.written !== 1) return { code: 'db_rejected', text: REFUSED, isByNature: false }
      for (const waitMs of [0, ...LOOK_AGAIN_MS]) {
        if (waitMs > 0) await deps.clock.sleep(waitMs, signal)
        const found = await ask({ fromNs: timeNs, toNs: timeNs }, signal)
        if ('code' in found) return found
        if (found.points.some((one) => one.writer === writer && one.ackedNs === ackedNs)) return 'shown'
      }
      return 'unkept'
    },
  }
}

/** The meaning of `unkept` for a point that was written just now. */
export const UNSHOWN: Unproven = { code: 'checkpoint_unseen', text: UNSEEN, isByNature: false }
