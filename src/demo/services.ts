/** The services that nodes offer each other, and the hours at which they are used. */
import { ZONES } from './nodes.ts'
import { SLOT_SECONDS } from './slots.ts'

export const KIND_VIRTUAL = 0
export const KIND_SUBNET = 1
export const KIND_EXIT = 2
export const KIND_PHYSICAL = 3

/** The client's port: a new one for each slot, one that stays for 90 minutes (high or below 1024), or none at all. */
type ClientPort = 'ephemeral' | 'pooled' | 'low' | 'none'

export interface Service {
  readonly name: string
  /** One of the KIND constants; never physical. */
  readonly kind: number
  readonly proto: number
  readonly port: number
  readonly clientPort: ClientPort
  readonly rhythm: Rhythm
  /** Share of the sessions (64 slots each) with traffic, and share of the slots with traffic in such a session. */
  readonly session: number
  readonly duty: number
  /** Maximum number of connections in one slot. */
  readonly connections: number
  /** Mean packets per connection and slot, and bytes per packet: `up` is from client to server. */
  readonly up: readonly [packets: number, bytes: number]
  readonly down: readonly [packets: number, bytes: number]
  /** The packets of a connection come in this many bursts, within this share of the slot. */
  readonly bursts: number
  readonly spread: number
  /** There is traffic once in this many slots, whatever the rhythm; 0: by session and duty. */
  readonly every: number
}

function service(
  name: string,
  kind: number,
  proto: number,
  port: number,
  clientPort: ClientPort,
  rhythm: Rhythm,
  [session, duty, connections]: readonly [number, number, number],
  up: readonly [number, number],
  down: readonly [number, number],
  [bursts, spread, every = 0]: readonly [number, number, number?] = [1, 0],
): Service {
  return { name, kind, proto, port, clientPort, rhythm, session, duty, connections, up, down, bursts, spread, every }
}

const V = KIND_VIRTUAL
const S = KIND_SUBNET
export const SERVICES = {
  web: service('web', V, 6, 443, 'ephemeral', 'office', [0.6, 0.45, 4], [12, 180], [30, 1200], [2, 0.1]),
  app: service('app', V, 6, 443, 'ephemeral', 'private', [0.4, 0.4, 2], [8, 160], [15, 900], [2, 0.1]),
  ssh: service('ssh', V, 6, 22, 'pooled', 'office', [0.25, 0.6, 1], [10, 90], [12, 160], [3, 0.9]),
  git: service('git', V, 6, 22, 'ephemeral', 'office', [0.1, 0.2, 1], [40, 300], [200, 1300], [3, 0.3]),
  db: service('db', V, 6, 5432, 'pooled', 'steady', [0.9, 0.5, 4], [25, 220], [30, 700], [3, 0.9]),
  cache: service('cache', V, 6, 6379, 'pooled', 'steady', [0.9, 0.5, 2], [60, 120], [60, 300], [3, 0.9]),
  dns: service('dns', V, 17, 53, 'ephemeral', 'private', [0.5, 0.35, 3], [1, 72], [1, 140]),
  dnsOfMachines: service('dns', V, 17, 53, 'ephemeral', 'steady', [0.6, 0.25, 2], [1, 72], [1, 140]),
  scrape: service('scrape', V, 6, 9100, 'ephemeral', 'steady', [1, 0.33, 1], [6, 110], [20, 1300]),
  syslog: service('syslog', V, 17, 514, 'pooled', 'steady', [0.8, 0.3, 1], [4, 300], [0, 0]),
  files: service('files', V, 6, 2049, 'low', 'office', [0.3, 0.4, 1], [40, 400], [90, 1250], [3, 0.9]),
  fragments: service('fragments', V, 255, 0, 'none', 'office', [0.05, 0.2, 1], [3, 1200], [3, 1200]),
  backup: service('backup', V, 6, 873, 'ephemeral', 'night', [0.9, 0.9, 1], [3000, 1300], [600, 60], [6, 0.95]),
  ping: service('ping', V, 1, 0, 'none', 'steady', [0.3, 0.3, 1], [4, 84], [4, 84], [2, 0.8]),
  ping6: service('ping6', V, 58, 0, 'none', 'steady', [0.2, 0.3, 1], [4, 104], [4, 104], [2, 0.8]),
  reject: service('reject', V, 99, 0, 'none', 'private', [0.15, 0.15, 1], [1, 27], [0, 0]),
  call: service('call', V, 17, 50_000, 'ephemeral', 'office', [0.06, 0.95, 1], [240, 700], [240, 700], [6, 0.95]),
  signalling: service('signalling', V, 132, 3868, 'pooled', 'steady', [0.4, 0.3, 1], [6, 180], [6, 180], [2, 0.9]),
  tunnel: service('tunnel', V, 47, 0, 'none', 'steady', [0.2, 0.3, 1], [20, 500], [20, 500], [3, 0.9]),
  lanPrinter: service('printer', S, 6, 631, 'ephemeral', 'office', [0.1, 0.2, 1], [30, 900], [12, 90], [2, 0.2]),
  lanFiles: service('nas', S, 6, 445, 'pooled', 'office', [0.3, 0.4, 1], [40, 300], [90, 1250], [3, 0.9]),
  lanCamera: service('camera', S, 17, 554, 'pooled', 'private', [0.15, 0.9, 1], [10, 60], [300, 1200], [5, 0.95]),
  lanPing: service('lan-ping', S, 1, 0, 'none', 'office', [0.1, 0.2, 1], [4, 84], [4, 84], [2, 0.8]),
  vip: service('vip', S, 6, 443, 'ephemeral', 'office', [0.3, 0.3, 2], [10, 180], [20, 1100], [2, 0.1]),
  /** What a sensor sends every 20 minutes. */
  reading: service('mqtt', V, 6, 8883, 'ephemeral', 'steady', [0, 0, 1], [30, 400], [20, 90], [3, 0.3, 229]),
  exit: service('exit', KIND_EXIT, 6, 443, 'ephemeral', 'private', [0.5, 0.6, 3], [40, 140], [120, 1250], [3, 0.3]),
} as const satisfies Record<string, Service>

/** `office`: people at work; `private`: people and their phones; `steady`: machines; `night`: backups. */
export const RHYTHMS = ['office', 'private', 'steady', 'night'] as const
type Rhythm = (typeof RHYTHMS)[number]

const WEEK_HOURS = 168
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

/** By hour of the week in UTC. Time zones are whole hours, so nothing changes within an hour. */
const LEVELS: readonly Float64Array[] = Array.from({ length: WEEK_HOURS }, (_, hour) =>
  Float64Array.from({ length: RHYTHMS.length * ZONES.length }, (_, at) => {
    const local = (hour + ZONES[at % ZONES.length]! + WEEK_HOURS) % WEEK_HOURS
    return level(RHYTHMS[Math.floor(at / ZONES.length)]!, local % 24, local >= 120)
  }),
)

/** How busy each rhythm is in each time zone in this slot, 0 to 1, at index `rhythm * ZONES.length + zone`. Read only. */
export function levelsAt(slot: number): Float64Array {
  return LEVELS[(Math.floor((slot * SLOT_SECONDS) / 3600) + EPOCH_HOUR) % WEEK_HOURS]!
}
