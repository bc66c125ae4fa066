/** When people and machines are busy. */
import { ZONES } from './nodes.ts'
import { SLOT_SECONDS } from './times.ts'

/** `office`: people at work; `private`: people and their phones; `steady`: machines; `night`: backups. */
export const RHYTHMS = ['office', 'private', 'steady', 'night'] as const
export type Rhythm = (typeof RHYTHMS)[number]

const HOURS = 168
/** 1970-01-01 was a Thursday; weeks here begin on Monday. */
const EPOCH_HOUR = 72

function level(rhythm: Rhythm, hour: number, weekend: boolean): number {
  if (rhythm === 'steady') return hour >= 8 && hour < 20 ? 1 : 0.75
  if (rhythm === 'night') return hour >= 1 && hour < 4 ? 1 : 0
  if (rhythm === 'private') return hour < 6 ? 0.05 : hour < 9 ? 0.5 : hour < 18 ? 0.6 : hour < 23 ? 1 : 0.3
  const day =
    hour < 7 ? 0.02 : hour < 9 ? 0.5 : hour < 12 ? 1 : hour < 13 ? 0.6 : hour < 18 ? 1 : hour < 22 ? 0.25 : 0.05
  return weekend ? day * 0.15 : day
}

const LEVELS = RHYTHMS.map((rhythm) =>
  Float64Array.from({ length: HOURS }, (_, hour) => level(rhythm, hour % 24, hour >= 120)),
)

/** How busy each rhythm is in a slot, 0 to 1, in each time zone: at `rhythm * ZONES.length + zone`. */
export function levelsAt(slot: number): Float64Array {
  const hours = (slot * SLOT_SECONDS) / 3600 + EPOCH_HOUR
  const out = new Float64Array(RHYTHMS.length * ZONES.length)
  for (let r = 0; r < RHYTHMS.length; r++)
    for (let z = 0; z < ZONES.length; z++)
      out[r * ZONES.length + z] = LEVELS[r]![Math.floor(hours + ZONES[z]! + HOURS) % HOURS]!
  return out
}
