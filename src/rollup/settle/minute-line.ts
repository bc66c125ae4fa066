/** `tailflux_minute`: how the rows of a minute were made, and how complete what they were made from is. */
import { MINUTE } from '../../base/clock.ts'
import { encodeLine } from '../../sink/line-protocol/encode-line.ts'
import type { PartDeps, RollupOptions } from '../deps.ts'
import type { MadeMinute } from '../make/make-minute.ts'
import type { ClockOffsets } from '../points/clock-offsets.ts'
import { LOOK_BACK_MINUTES, type MinuteFacts } from './minute-facts.ts'

export interface Completeness {
  /** Begin of the minute, ns. */
  readonly startNs: bigint
  /** Nodes that the device list shows as connected, and those of them that do not report; undefined without a list. */
  readonly nodes: number | undefined
  readonly nodesSilent: number | undefined
  readonly edges: number
  readonly edgesBoth: number
  readonly clockOff: number
}

export interface MinuteLines {
  /** `isYoung`: what is true of the tailnet now is true of the minute. */
  lineOf(startNs: bigint, made: MadeMinute, hasGap: boolean, isYoung: boolean): Uint8Array
  /** Of a young minute, as of now; it may be the newest one. */
  look(startNs: bigint, made: MadeMinute): Completeness
  /** What the newest minute said about completeness. */
  readonly newest: Completeness | undefined
}

export function createMinuteLines(
  { tailnetAt }: Pick<RollupOptions, 'tailnetAt'>,
  deps: Pick<PartDeps, 'directory' | 'isOnce' | 'writerId'> & {
    readonly facts: MinuteFacts
    readonly clockOffsets: ClockOffsets
  },
): MinuteLines {
  const { directory, facts } = deps
  let newest: Completeness | undefined

  function look(startNs: bigint, made: MadeMinute): Completeness {
    const minute = Number(startNs / MINUTE)
    const connected = directory.connected()
    const isSilent = (node: string) => !facts.hasReportedIn(node, minute - LOOK_BACK_MINUTES, minute)
    const completeness = {
      startNs,
      nodes: connected?.size,
      nodesSilent: connected && [...connected].filter(isSilent).length,
      edges: made.edgeCount,
      edgesBoth: made.bothCount,
      clockOff: deps.clockOffsets.off(),
    }
    if (newest === undefined || startNs >= newest.startNs) newest = completeness
    return completeness
  }

  return {
    lineOf(startNs, made, hasGap, isYoung) {
      const fields: Record<string, bigint | boolean | string> = {
        ...(deps.isOnce() ? {} : { digest: made.digest, writer: deps.writerId }),
        points: BigInt(made.points),
        rows: BigInt(made.edges.count + made.nodes.count),
        gap: hasGap,
        edges: BigInt(made.edgeCount),
        edges_both: BigInt(made.bothCount),
      }
      if (isYoung) {
        const { nodes, nodesSilent, clockOff } = look(startNs, made)
        fields['clock_off'] = BigInt(clockOff)
        if (nodes !== undefined && nodesSilent !== undefined) {
          fields['nodes'] = BigInt(nodes)
          fields['nodes_silent'] = BigInt(nodesSilent)
        }
      }
      return encodeLine('tailflux_minute', { tailnet: tailnetAt(startNs) }, fields, startNs)
    },
    look,
    get newest() {
      return newest
    },
  }
}
