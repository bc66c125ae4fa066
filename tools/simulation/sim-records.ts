/** What a simulated tailnet says: messages as the API lists them, and the points that they must become (by the naive model). */
import { type ModelPoint, modelOf } from '../../test/flatten/model.ts'

export interface SimRecord {
  /** The message as JSON. */
  readonly text: string
  readonly loggedNs: bigint
  /** From when on the API returns it. */
  readonly visibleNs: bigint
}

const NODES = 5
/** The database refuses lines with this address. */
export const POISON_ADDRESS = '100.64.66.6'

/** Message number `serial`, logged at `loggedNs`. A pure function. Some of its kind: starts that five nodes share to the nanosecond, records of
 * one node that begin a nanosecond apart, node clocks from the year 1 to 9999 (out of bounds), two entries that fold into one point. */
export function messageText(serial: number, loggedNs: bigint): string {
  const node = serial % NODES
  const around = ((loggedNs - 6_000_000_000n) / 10_000_000_000n) * 10_000_000_000n
  const start =
    serial % 41 === 40
      ? `${MAD_YEARS[(serial >> 3) % MAD_YEARS.length]}${String(serial).padStart(9, '0')}Z`
      : timeText(around + BigInt(Math.floor(serial / NODES)))
  const isPoison = serial % 37 === 36
  const entries = [0, 1, 2].slice(0, 1 + (serial % 3)).map((index) => ({
    proto: 6,
    src: `100.64.0.${node === 0 ? 1 : 2}:${40_000 + index}`,
    dst: `${isPoison ? POISON_ADDRESS : '100.64.0.9'}:443`,
    txPkts: 1 + index,
    txBytes: 1_000 + serial,
    rxBytes: serial % 11 === 0 ? Number.MAX_SAFE_INTEGER - serial : 7 * serial,
  }))
  return JSON.stringify({
    logged: timeText(loggedNs),
    nodeId: `n${node}CNTRL`,
    start,
    end: timeText(around + 5_000_000_000n),
    virtualTraffic: entries,
    ...(serial % 4 === 0 ? { physicalTraffic: [{ src: '100.64.0.9:0', dst: '127.3.3.40:3', rxBytes: serial }] } : {}),
  })
}

/** What clocks say that were never set; the fraction of the second follows. */
const MAD_YEARS = [
  '0001-01-01T00:00:00.',
  '9999-12-31T23:59:59.',
  '1970-01-01T00:00:00.',
  '2262-01-01T00:00:00.',
  'then.',
]

/** The points of a message; none for one that must be quarantined. */
export function pointsOf(record: SimRecord): readonly ModelPoint[] {
  const { start } = JSON.parse(record.text) as { start: string }
  if (!start.includes('T')) return []
  return modelOf(record.text, { ports: 'service', tailnet: 'default' }).points.filter(
    ({ timestampNs }) =>
      timestampNs >= record.loggedNs - CLOCK_BEHIND_NS && timestampNs <= record.loggedNs + CLOCK_AHEAD_NS,
  )
}

/** Bounds of a node's clock: the defaults of the settings. */
const CLOCK_BEHIND_NS = 31n * 86_400_000_000_000n
const CLOCK_AHEAD_NS = 3_600_000_000_000n

/** What distinguishes one point from all others. */
export function keyOf(point: Pick<ModelPoint, 'measurement' | 'tags' | 'timestampNs'>): string {
  const tags = Object.entries(point.tags)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
  return `${point.measurement},${tags.join(',')} ${point.timestampNs}`
}

/** The integer fields of a point, in one order. */
export function fieldsText(fields: Readonly<Record<string, bigint>>): string {
  return Object.keys(fields)
    .sort()
    .map((name) => `${name}=${fields[name]}`)
    .join(',')
}

export function timeText(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`
}
