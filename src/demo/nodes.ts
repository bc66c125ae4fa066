/** The nodes of the tailnet: role, name, owner, addresses, clock, and whether they report. */
import { mix } from './random.ts'

/** An address as text, and as the API writes it. */
export interface DemoAddress {
  /** Without port and brackets. */
  readonly text: string
  /** The part before the port in JSON: `100.64.0.1:` or `[fd7a::1]:`. */
  readonly open: string
}

export interface Endpoint {
  readonly address: DemoAddress
  readonly port: number
}

/** A sensor speaks every 20 minutes; a runner exists for four hours and is gone for four; a shared node belongs to another tailnet. A tailnet of less
 * than 20 nodes has none of these three. */
export const ROLES = ['laptop', 'sensor', 'runner', 'shared', 'phone', 'server', 'router', 'exit'] as const
export type Role = (typeof ROLES)[number]

export interface DemoNode {
  readonly index: number
  readonly nodeId: string
  readonly role: Role
  /** What a server offers (`web`, `db`, ...); for other nodes the same as the role. */
  readonly job: string
  readonly hostname: string
  /** The rest of its name. */
  readonly domain: string
  readonly v4: DemoAddress
  readonly v6: DemoAddress
  readonly os: string
  readonly user: string | undefined
  readonly tags: readonly string[] | undefined
  /** Client older than 1.92: its messages have no srcNode and dstNodes, and its records are shorter. */
  readonly old: boolean
  /** False: its traffic is in the records of others only. Such are shared nodes, and a few servers whose client has logging switched off. */
  readonly reports: boolean
  /** False: the device list does not have it. */
  readonly listed: boolean
  /** Its exit traffic names neither end, as that of half of the clients. */
  readonly exitUnnamed: boolean
  /** Index into ZONES. */
  readonly zone: number
  /** When its timer runs: ns after the start of a slot. */
  readonly phaseNs: number
  /** Its clock less the true time, ns: within two seconds, for 2 % of the nodes and for one sensor some two minutes. */
  readonly clockNs: number
  /** Resolution of its clock, ns. */
  readonly clockStepNs: number
  /** Its direct endpoints: public, IPv6, private network. */
  readonly endpoints: readonly [Endpoint, Endpoint, Endpoint]
  /** Region of its DERP relay. */
  readonly derp: number
}

/** The time zones of the users, in hours east of UTC. */
export const ZONES = [0, 1, -5, 8] as const
/** Index into ZONES for each eighth of the users. Most are in Europe, so the total shows day and night. */
const HOMES = [0, 0, 0, 1, 1, 1, 2, 3] as const

export const DNS_SUFFIX = 'tail1234.ts.net'
const OTHER_TAILNET = 'tail5678.ts.net'
const JOBS = ['web', 'db', 'monitor', 'dns', 'backup', 'files', 'git', 'cache', 'ci', 'mail'] as const
const ID_LETTERS = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

export function addressOf(text: string): DemoAddress {
  return { text, open: text.includes(':') ? `[${text}]:` : `${text}:` }
}

/** Share of clients older than 1.92. */
const OLD_CLIENTS = 0.12
const ALL_ROLES_MIN = 20
/** Of each 50 nodes, the one whose clock is off by minutes. */
const CLOCK_OFF = 3
/** The first sensor's clock is ahead too: it was last heard 20 minutes before the node that it talks to has its bytes. */
const SENSOR_AHEAD = 110e9

export function createNodes(seed: number, count: number): readonly DemoNode[] {
  const roles = rolesOf(count)
  const perJob = new Map<string, number>()
  const serverCount = roles.filter((role) => role === 'server').length
  /** The last servers do not report. */
  const reportingServers = serverCount - (count < ALL_ROLES_MIN ? 0 : Math.max(1, Math.round(count * 0.01)))
  let servers = 0
  let places = 0
  /** The lower 22 bits of an address. */
  function nextPlace(): number {
    for (;;) {
      // Multiplying by an odd number is a permutation: no address is used twice.
      const place = (Math.imul(++places, 2654435) + (seed & 0xffff)) & 0x3fffff
      // Reserved by Tailscale: 100.100.100.100, 100.115.92.0/23. Used by services here: 100.127.0.0/16.
      const reserved = place === 0x246464 || (place & 0x3ffe00) === 0x335c00 || place >>> 16 === 63
      if (!reserved) return place
    }
  }

  return roles.map((role, index): DemoNode => {
    const h = mix(seed, index, 0, 100)
    const h2 = mix(seed, index, 1, 100)
    const h3 = mix(seed, index, 2, 100)
    const server = role === 'server' ? servers++ : -1
    const job = server < 0 ? role : JOBS[server % JOBS.length]!
    const number = (perJob.get(job) ?? 0) + 1
    perJob.set(job, number)
    const isShared = role === 'shared'
    const personal = role === 'laptop' || role === 'phone' || isShared
    const place = nextPlace()
    const v4 = `100.${64 + (place >>> 16)}.${(place >>> 8) & 255}.${place & 255}`
    const v6 = `fd7a:115c:a1e0::${(0x4000 | (place >>> 16)).toString(16)}:${(place & 0xffff).toString(16)}`
    const os = osOf(role, h)
    return {
      index,
      nodeId: `n${letters(h3, 3)}${letters(index + 58 ** 3, 4)}CNTRL`,
      role,
      job,
      hostname: `${job}-${number}`,
      domain: isShared ? OTHER_TAILNET : DNS_SUFFIX,
      v4: addressOf(v4),
      v6: addressOf(v6),
      os,
      user: personal ? userOf(isShared, 1 + (h2 % Math.max(1, Math.round(count / 2)))) : undefined,
      tags: personal ? undefined : [`tag:${job}`, 'tag:prod'],
      old: hasOldClient(seed, index, OLD_CLIENTS),
      reports: !isShared && server < reportingServers,
      listed: !isShared || number % 2 === 1,
      exitUnnamed: h3 % 2 === 1,
      zone: personal ? HOMES[h3 % HOMES.length]! : 0,
      phaseNs: mix(seed, index, 3, 100),
      clockNs: role === 'sensor' && number === 1 ? SENSOR_AHEAD : clockOf(index, mix(seed, index, 4, 100)),
      clockStepNs: os === 'windows' ? 100 : os === 'macOS' || os === 'iOS' ? 1000 : 1,
      endpoints: [
        {
          address: addressOf(`203.0.${h % 256}.${1 + (h2 % 254)}`),
          port: h3 % 3 === 0 ? 1024 + (h3 % 60_000) : 41_641,
        },
        {
          address: addressOf(`2001:db8:${(h2 & 0xffff).toString(16)}::${(1 + (h & 0x7fff)).toString(16)}`),
          port: 41_641,
        },
        { address: addressOf(`192.168.${h2 % 4}.${2 + (h3 % 250)}`), port: 41_641 },
      ],
      derp: h3 % 12 === 0 ? 901 : 1 + (h % 28),
    }
  })
}

/** True for this share of all nodes. */
export function hasOldClient(seed: number, index: number, share: number): boolean {
  return mix(seed, index, 1, 100) / 2 ** 32 < share
}

/** Exact to 100 ns, the coarsest step of the clocks. */
function clockOf(index: number, h: number): number {
  const within = index % 50 === CLOCK_OFF ? 30e9 : 2e9
  const offset = Math.round((h / 2 ** 31 - 1) * (within / 100)) * 100
  if (index % 50 !== CLOCK_OFF) return offset
  return offset < 0 ? offset - 100e9 : offset + 100e9
}

function userOf(isShared: boolean, number: number): string {
  return isShared ? `guest${number}@partner.example` : `user${number}@example.com`
}

function rolesOf(count: number): readonly Role[] {
  const some = (share: number, least = 1) => Math.max(least, Math.round(count * share))
  const isSmall = count < ALL_ROLES_MIN
  const wanted: Record<Role, number> = {
    exit: some(0.015),
    router: some(0.025, count < 10 ? 1 : isSmall ? 2 : 3),
    server: some(0.25),
    phone: some(0.12),
    sensor: isSmall ? 0 : some(0.03),
    runner: isSmall ? 0 : some(0.03, 2),
    shared: isSmall ? 0 : some(0.03, 2),
    laptop: 0,
  }
  wanted.laptop = count - Object.values(wanted).reduce((sum, number) => sum + number, 0)
  return ROLES.flatMap((role) => Array<Role>(wanted[role]).fill(role))
}

function osOf(role: Role, h: number): string {
  if (role === 'phone') return h % 2 ? 'iOS' : 'android'
  if (role !== 'laptop' && role !== 'shared') return 'linux'
  return ['macOS', 'windows', 'linux'][h % 3]!
}

function letters(value: number, count: number): string {
  let text = ''
  for (let i = 0; i < count; i++) {
    text += ID_LETTERS[value % ID_LETTERS.length]!
    value = Math.floor(value / ID_LETTERS.length)
  }
  return text
}
