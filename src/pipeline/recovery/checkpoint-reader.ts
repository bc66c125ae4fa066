/** Reads the checkpoint that the database holds, and finds out whether its answers can be believed: only where what was just written shows.
 * A token of another organisation, a mapping to another bucket, or a second database behind one address answer as readily. */
import type { Clock } from '../../base/clock.ts'
import { HOUR } from '../../base/clock.ts'
import type { Interval } from '../../ledger/ledger.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { CheckpointPoint, Sink } from '../../sink/sink.ts'
import { max } from '../window-size.ts'

/** Why the checkpoint proves nothing just now. */
export interface Unproven {
  readonly code: 'checkpoint_unanswered' | 'checkpoint_unseen' | 'db_rejected'
  /** A sentence that ends with the fix. */
  readonly text: string
  readonly isByNature: boolean
}

export interface CheckpointReader {
  /** Points with a time in the range, newest hours first; ends early when `isEnough` is content with a part. */
  read(range: Interval, signal: AbortSignal, isEnough?: (points: readonly CheckpointPoint[]) => boolean): Promise<Read>
  /** Writes a point of that time and looks for it. `unkept`: it was taken and does not show, or is beyond the retention. Rejects with the
   * CollectorError of the write, or the signal's reason. */
  probe(timeNs: bigint, signal: AbortSignal): Promise<'shown' | 'unkept' | Unproven>
  /** Writes that reading went back to this watermark, for whoever finds the database without our state file. Rejects as `probe`. */
  wentBack(timeNs: bigint, watermarkNs: bigint, signal: AbortSignal): Promise<void>
}

type Read = { readonly points: readonly CheckpointPoint[] } | Unproven

/** Of one question: InfluxDB 3 Core reads at most 432 files of ten minutes. */
const PIECE_NS = 12n * HOUR
/** Nothing waits longer than that for all pieces together. */
const READ_MS_MAX = 300_000
/** InfluxDB 3 shows a point with the next flush of its log, which is a second away; replicas may take longer. ms */
const LOOK_AGAIN_MS = [250, 500, 1_000, 1_500, 2_000]
/** The pass of points that only ask; windows have numbers. */
const PROBE_PASS = 'probe'

const SLOW =
  'the database answers the questions for its checkpoint too slowly. Look at its load, and at the network between it and tailflux'
const UNSEEN =
  'what tailflux writes to the database does not show when it reads it back. With InfluxDB 2.x InfluxQL is answered for the organisation of the token and by the mapping of the database name: check that INFLUX_ORG is the organisation of the token, and that the mapping leads to the bucket (influx v1 dbrp list). Otherwise check that INFLUX_URL leads to one database only'
export const REFUSED =
  'the database refuses the points of tailflux_window, so what it loses is not noticed. The dead letters say why: a field type conflict (drop that measurement), or a retention of minutes (raise it)'

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
    return { code: 'checkpoint_unanswered', text: answer.cannotBeAsked, isByNature: answer.isByNature ?? false }
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

/** What `unkept` means for a point of this very moment. */
export const UNSHOWN: Unproven = { code: 'checkpoint_unseen', text: UNSEEN, isByNature: false }
