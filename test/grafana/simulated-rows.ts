/** Rows of a made-up tailnet, straight in the form in which they stand in the database: edges and nodes by minute, hour or day. Pure functions of
 * the seed and of the time, so that any range can be made alone. One edge in ten is replaced each day, and devices are renamed now and then. */
import type { Kind } from '../../src/source/parse/message.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000
export type StepMs = typeof MINUTE_MS | typeof HOUR_MS | typeof DAY_MS

export type Tags = Readonly<Record<string, string>>
export type Fields = Readonly<Record<string, number>>
export interface Row {
  readonly timeMs: number
  readonly tags: Tags
  readonly fields: Fields
}
export interface Rows {
  readonly edges: readonly Row[]
  readonly nodes: readonly Row[]
}

export interface SimulatedRows {
  readonly nodes: readonly SimulatedNode[]
  /** The rows that stand at this time in the tier with this step. */
  at(timeMs: number, stepMs: StepMs): Rows
}
export interface SimulatedNode {
  readonly id: string
  readonly owner: string
  readonly os: string
  readonly address: string
  readonly role: 'plain' | 'router' | 'exit'
  /** Its bytes are known from the other ends alone. */
  readonly isSilent: boolean
}

interface Edge {
  readonly tags: Tags
  /** Bytes per minute in which it is active, from src to dst and back. */
  readonly forth: number
  readonly back: number
  readonly src: number
  /** Index of a node: the other end, or who carries the traffic; -1 for nobody. */
  readonly other: number
  readonly active: number
}

/** Edges that one node begins: how many of each kind are alive at a time. */
const EDGES = { virtual: 40, physical: 5, subnet: 2, exit: 1 } as const
/** Edges of one kind between the same two ends. */
const SERVICES = 4
const DAYS_ALIVE = 10
const DAYS_NAMED = 100
const PORTS = ['443', '22', '5432', '8080', '53', '445', '9100', '6443'] as const
const OWNERS = [
  'ann@example.org',
  'bo@example.org',
  'cy@example.org',
  'tag:server',
  'tag:db,tag:prod',
  'tag:ci',
] as const
const OSES = ['linux', 'macOS', 'windows', 'iOS'] as const
const WORDS = ['files', 'db', 'laptop', 'phone', 'build', 'web', 'nas', 'printer'] as const
const HOSTS = 40

export function simulatedRows({
  nodes: count,
  seed,
}: {
  readonly nodes: number
  readonly seed: number
}): SimulatedRows {
  const random = (about: number, a = 0, b = 0, c = 0) => hashed(seed, about, a, b, c)
  const pick = <T>(list: readonly T[], about: number, a: number, b = 0, c = 0) =>
    list[Math.floor(random(about, a, b, c) * list.length)]!
  const nodes = Array.from({ length: count }, (_, index): SimulatedNode => {
    const role = index % 25 === 3 ? 'router' : index % 25 === 4 ? 'exit' : 'plain'
    return {
      id: `n${String(index).padStart(5, '0')}CNTRL`,
      owner: role === 'plain' ? pick(OWNERS, 1, index) : 'tag:router',
      os: pick(OSES, 2, index),
      address: `100.64.${index >> 8}.${index & 255}`,
      role,
      isSilent: index % 50 === 7,
    }
  })
  const routers = nodes.flatMap(({ role }, index) => (role === 'router' ? [index] : []))
  const exits = nodes.flatMap(({ role }, index) => (role === 'exit' ? [index] : []))
  const days = new Map<number, Edge[]>()

  function nameOf(index: number, day: number): string {
    // A name with everything that line protocol, InfluxQL and regular expressions treat in a special way.
    if (index === 5) return "ann's (old) p.c, =1"
    const times = Math.floor((day + ((index * 7) % DAYS_NAMED)) / DAYS_NAMED) % 10
    const name = `${WORDS[index % WORDS.length]}-${index}`
    return times === 0 ? name : `${name}-${times}`
  }
  const end = (side: 'src' | 'dst', index: number, day: number): Tags => ({
    [side]: nodes[index]!.id,
    [`${side}_name`]: nameOf(index, day),
    [`${side}_owner`]: nodes[index]!.owner,
  })
  const other = (side: 'src' | 'dst', id: string, name = id): Tags => ({
    [side]: id,
    [`${side}_name`]: name,
    [`${side}_owner`]: 'none',
  })

  function edgeOf(kind: Kind, src: number, slot: number, day: number): Edge {
    const age = Math.floor((day + Math.floor(random(3, src, slot) * DAYS_ALIVE)) / DAYS_ALIVE)
    const peer = Math.floor(random(4, src, Math.floor(slot / SERVICES), kind === 'virtual' ? age : 0) ** 2 * count)
    const dst = peer === src ? (src + 1) % count : peer
    const proto = random(5, src, slot, age) < 0.8 ? 'tcp' : 'udp'
    const forth = Math.round(10 ** (2 + 4 * random(6, src, slot)))
    const common = { tailnet: 'demo', kind, src: '', dst: '' }
    const near = end('src', src, day)
    const edge = { src, active: 0.5 + random(7, src, slot), forth, back: Math.round(forth * 4 * random(8, src, slot)) }
    switch (kind) {
      case 'virtual':
        return {
          ...edge,
          other: dst,
          tags: {
            ...common,
            proto,
            port: pick(PORTS, 9, src, slot, age),
            path: 'none',
            ...near,
            ...end('dst', dst, day),
          },
        }
      case 'physical': {
        const path =
          random(10, src, slot, age) < 0.8 ? 'direct' : `derp-${1 + Math.floor(random(11, src, slot, age) * 12)}`
        return {
          ...edge,
          // One path carries what several services are about.
          forth: edge.forth * 6,
          back: edge.back * 6,
          active: 2.5,
          other: dst,
          tags: { ...common, proto: 'none', port: 'none', path, ...near, ...end('dst', dst, day) },
        }
      }
      case 'subnet': {
        const host = Math.floor(random(12, src, slot, age) * HOSTS)
        const isService = host >= HOSTS - 4
        const address = isService ? `100.127.0.${host}` : `192.168.${host & 3}.${host}`
        const router = isService ? -1 : (routers[host % routers.length] ?? -1)
        return {
          ...edge,
          other: router,
          tags: {
            ...common,
            // Half of the services are not among the clients' routes.
            kind: isService && host & 1 ? 'exit' : 'subnet',
            proto,
            port: pick(PORTS, 13, src, slot, age),
            path: 'none',
            ...near,
            ...other('dst', address, isService ? `service-${host}` : host & 1 ? 'office' : undefined),
          },
        }
      }
      case 'exit': {
        const isUnknown = random(14, src) < 0.3
        const path = isUnknown ? 'unknown' : 'none'
        return {
          ...edge,
          other: isUnknown ? -1 : (exits[src % exits.length] ?? -1),
          tags: { ...common, proto: 'none', port: 'none', path, ...near, ...other('dst', 'none') },
        }
      }
    }
  }

  function edgesOf(day: number): readonly Edge[] {
    let edges = days.get(day)
    if (edges === undefined) {
      edges = nodes.flatMap((_, src) =>
        Object.entries(EDGES).flatMap(([kind, number], k) =>
          Array.from({ length: number }, (_, slot) => edgeOf(kind as Kind, src, k * 100 + slot, day)),
        ),
      )
      // One series has one row at a time.
      const known = new Set<string>()
      edges = edges.filter(({ tags: { kind, proto, port, path, src, dst } }) => {
        const key = `${kind} ${proto} ${port} ${path} ${src} ${dst}`
        return !known.has(key) && known.add(key)
      })
      if (days.size > 2) days.clear()
      days.set(day, edges)
    }
    return edges
  }

  return {
    nodes,
    at(timeMs, stepMs) {
      const day = Math.floor(timeMs / DAY_MS)
      const hour = Math.floor(timeMs / HOUR_MS)
      const isBusy = hour % 24 >= 8 && hour % 24 < 18
      const sums = new Map<string, { tags: Tags; fields: Record<string, number> }>()
      const edges: Row[] = []
      for (const [index, edge] of edgesOf(day).entries()) {
        // Who talks in an hour talks in a third of its minutes.
        if (stepMs < DAY_MS && random(20, index, hour) > 0.3 * edge.active * (isBusy ? 1 : 0.5)) continue
        if (stepMs < HOUR_MS && random(21, index, timeMs / MINUTE_MS) > 0.33) continue
        const minutes = stepMs === MINUTE_MS ? 1 : stepMs === HOUR_MS ? 20 : 100
        // One row in a hundred has been taken back: zeros stand there.
        const scale =
          random(22, index, timeMs / MINUTE_MS) < 0.01 ? 0 : minutes * (0.5 + random(23, index, timeMs / MINUTE_MS))
        const [tx, rx] = [Math.round(edge.forth * scale), Math.round(edge.back * scale)]
        const fields = {
          tx_bytes: tx,
          rx_bytes: rx,
          tx_pkts: Math.ceil(tx / 600),
          rx_pkts: Math.ceil(rx / 600),
          flows: Math.ceil(scale),
          reporters:
            scale === 0 ? 0 : edge.other < 0 || nodes[edge.src]!.isSilent || nodes[edge.other]!.isSilent ? 1 : 2,
        }
        edges.push({ timeMs, tags: edge.tags, fields })
        if (scale === 0) continue
        const kind = edge.tags['kind']!
        const isPeer = kind === 'virtual' || kind === 'physical'
        report(sums, edge.src, day, kind, isPeer ? 'peer' : 'client', edge.tags, fields, false)
        if (edge.other >= 0)
          report(
            sums,
            edge.other,
            day,
            kind,
            isPeer ? 'peer' : kind === 'subnet' ? 'router' : 'exit',
            edge.tags,
            fields,
            true,
          )
      }
      return { edges, nodes: [...sums.values()].map(({ tags, fields }) => ({ timeMs, tags, fields })) }
    },
  }

  function report(
    sums: Map<string, { tags: Tags; fields: Record<string, number> }>,
    index: number,
    day: number,
    kind: string,
    role: string,
    edge: Tags,
    fields: Fields,
    isFar: boolean,
  ): void {
    const { id, owner, os, isSilent } = nodes[index]!
    if (isSilent) return
    const key = `${index} ${kind} ${role}`
    let sum = sums.get(key)
    if (sum === undefined) {
      const zeros = {
        tx_bytes: 0,
        rx_bytes: 0,
        tx_pkts: 0,
        rx_pkts: 0,
        flows: 0,
        peers: 0,
        derp_tx_bytes: 0,
        derp_rx_bytes: 0,
      }
      sum = { tags: { tailnet: 'demo', node: id, node_name: nameOf(index, day), owner, os, kind, role }, fields: zeros }
      sums.set(key, sum)
    }
    const [sent, received] = isFar ? ['rx', 'tx'] : ['tx', 'rx']
    const relayed = edge['path']!.startsWith('derp-') ? 1 : 0
    const add = (name: string, value: number) => {
      sum.fields[name] = sum.fields[name]! + value
    }
    for (const what of ['bytes', 'pkts']) {
      add(`tx_${what}`, fields[`${sent}_${what}`]!)
      add(`rx_${what}`, fields[`${received}_${what}`]!)
    }
    add('flows', fields['flows']!)
    add('peers', 1)
    add('derp_tx_bytes', relayed * fields[`${sent}_bytes`]!)
    add('derp_rx_bytes', relayed * fields[`${received}_bytes`]!)
  }
}

/** A number in [0, 1) from some numbers. */
function hashed(seed: number, about: number, a: number, b: number, c: number): number {
  let hash = mixed(mixed(mixed(mixed(mixed(0x811c9dc5, seed), about), a), b), c)
  hash = Math.imul(hash ^ (hash >>> 16), 0x297a2d39)
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32
}

function mixed(hash: number, part: number): number {
  hash = Math.imul(hash ^ (part | 0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return hash ^ (hash >>> 12)
}
