/** Points of `tailflux_window` read from the embedded store: the checkpoint. */
import type { CheckpointPoint, CheckpointState, TimeRange } from '../sink.ts'
import type { StoredPoint } from './measurement-table.ts'

export const WINDOW = 'tailflux_window'

/** How the store reads points of a measurement; both ends inclusive. */
export type ReadPoints = (measurement: string, range: TimeRange) => Iterable<StoredPoint>

/** `tailnet` as in the line, escaped. */
export function findCheckpoints(read: ReadPoints, tailnet: string, range: TimeRange): CheckpointPoint[] {
  return windowsOf(read, tailnet, range).map(({ key, fields, ns }) => ({
    timeNs: ns,
    pass: tagIn(key, 'pass') ?? '',
    writer: tagIn(key, 'writer'),
    ackedNs: integerIn(fields, 'acked'),
    watermarkNs: integerIn(fields, 'watermark'),
    passedNs: integerIn(fields, 'passed'),
  }))
}

/** What the points of exactly this time carry. */
export function findStates(read: ReadPoints, tailnet: string, timeNs: bigint): CheckpointState[] {
  return windowsOf(read, tailnet, { fromNs: timeNs, toNs: timeNs })
    .map(({ key, fields }) => ({
      pass: tagIn(key, 'pass') ?? '',
      writer: tagIn(key, 'writer'),
      unsettled: textIn(fields, 'unsettled'),
      settings: textIn(fields, 'settings'),
    }))
    .filter(({ unsettled, settings }) => unsettled !== undefined || settings !== undefined)
}

/** The watermark of a line of `tailflux_window`. */
export function watermarkIn(fields: string): bigint | undefined {
  return integerIn(fields, 'watermark')
}

function windowsOf(read: ReadPoints, tailnet: string, range: TimeRange): StoredPoint[] {
  return [...read(WINDOW, range)].filter(({ key }) => tagIn(key, 'tailnet') === tailnet)
}

function tagIn(key: string, name: string): string | undefined {
  return new RegExp(`,${name}=((?:[^\\\\,]|\\\\.)*)`).exec(key)?.[1]
}

function integerIn(fields: string, name: string): bigint | undefined {
  // Texts come last, and may hold anything.
  const numbers = fields.split('"', 1)[0] ?? ''
  const found = new RegExp(`(?:^|,)${name}=(-?\\d+)i`).exec(numbers)?.[1]
  return found === undefined ? undefined : BigInt(found)
}

/** An empty text is none. */
function textIn(fields: string, name: string): string | undefined {
  const found = new RegExp(`,${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(fields)?.[1]
  return found ? found.replaceAll('\\"', '"') : undefined
}
