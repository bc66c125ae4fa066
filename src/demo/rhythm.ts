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

/** By hour of the week in UTC. Zones are whole hours, so nothing changes within one. */
const LEVELS: readonly Float64Array[] = Array.from({ length: HOURS }, (_, hour) =>
  Float64Array.from({ length: RHYTHMS.length * ZONES.length }, (_, at) => {
    const local = (hour + ZONES[at % ZONES.length]! + HOURS) % HOURS
    return level(RHYTHMS[Math.floor(at / ZONES.length)]!, local % 24, local >= 120)
  }),
)

/** How busy each rhythm is in a slot, 0 to 1, in each time zone: at `rhythm * ZONES.length + zone`. Not to be changed. */
export function levelsAt(slot: number): Float64Array {
  return LEVELS[(Math.floor((slot * SLOT_SECONDS) / 3600) + EPOCH_HOUR) % HOURS]!
}
