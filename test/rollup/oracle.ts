/** The rows of a minute once more, as plainly as the rules can be written: texts, maps and whole numbers. It shares no code with src/rollup, and is the
 * judge of it. */

export interface OraclePoint {
  node: string
  kind: 'virtual' | 'subnet' | 'exit' | 'physical'
  proto: string
  src: string
  dst: string
  srcPort: number
  dstPort: number
  path: string
  startNs: bigint
  txBytes: bigint
  txPkts: bigint
  rxBytes: bigint
  rxPkts: bigint
  flows: number
}

/** The directory as of the minute. */
export interface OracleDirectory {
  /** Address to node id. */
  readonly addresses: ReadonlyMap<string, string>
  readonly devices: ReadonlyMap<string, { readonly name: string; readonly owner: string; readonly os: string }>
  readonly networks: ReadonlyMap<string, { readonly name: string; readonly isFolded: boolean }>
}

export interface OracleWorld extends OracleDirectory {
  /** Nodes that reported in the hour before. */
  readonly reportedBefore: ReadonlySet<string>
  /** `address node`: that node wrote that address as its own in the hour before. */
  readonly usedBefore: ReadonlySet<string>
}

interface End {
  id: string
  name: string
  owner: string
  isNode: boolean
}

const PORTED = ['tcp', 'udp', 'dccp', 'sctp']

/** The rows of a minute from its points and those of the 60 minutes before. */
export function oracleMinute(
  points: readonly OraclePoint[],
  hourBefore: readonly OraclePoint[],
  directory: OracleDirectory,
): OracleRows {
  const counting = hourBefore.filter((one) => one.txBytes + one.rxBytes + one.txPkts + one.rxPkts > 0n)
  const virtual = hourBefore.filter(({ kind }) => kind === 'virtual')
  return oracleRows(points, {
    ...directory,
    reportedBefore: new Set(counting.map(({ node }) => node)),
    usedBefore: new Set(virtual.map(({ src, node }) => `${src} ${node}`)),
  })
}

/** One text per row, sorted. */
export interface OracleRows {
  readonly edges: string[]
  readonly nodes: string[]
}

export function oracleRows(points: readonly OraclePoint[], world: OracleWorld): OracleRows {
  const users = new Map<string, Set<string>>()
  for (const { kind, src, node } of points)
    if (kind === 'virtual') users.set(src, (users.get(src) ?? new Set()).add(node))

  function nodeEnd(id: string): End {
    const device = world.devices.get(id)
    return { id, name: device?.name ?? id, owner: device?.owner ?? 'none', isNode: true }
  }
  function end(address: string): End {
    if (address === 'none') return { id: 'none', name: 'none', owner: 'none', isNode: false }
    const known = world.addresses.get(address)
    if (known !== undefined) return nodeEnd(known)
    const [user, ...more] = users.get(address) ?? []
    if (user !== undefined && more.length === 0) {
      const others = [...world.usedBefore].some((one) => one.startsWith(`${address} `) && one !== `${address} ${user}`)
      if (!others) return nodeEnd(user)
    }
    const network = world.networks.get(address)
    if (network)
      return { id: network.isFolded ? network.name : address, name: network.name, owner: 'none', isNode: false }
    return { id: address, name: address, owner: 'none', isNode: false }
  }

  const told = points.map((point) => {
    const { kind, src, dst, node } = point
    const isUnnamed = kind === 'exit' && src === 'none' && dst === 'none'
    const near = kind === 'virtual' || kind === 'physical' || isUnnamed ? nodeEnd(node) : end(src)
    const far = kind === 'physical' ? end(src) : end(dst)
    return { point, near, far, path: isUnnamed ? 'unknown' : point.path }
  })

  // What each node reported.
  const nodes = new Map<string, { sums: bigint[]; peers: Set<string> }>()
  for (const { point, near, far } of told) {
    const isEnd = near.id === point.node || far.id === point.node
    const role =
      point.kind === 'virtual' || point.kind === 'physical'
        ? 'peer'
        : isEnd
          ? 'client'
          : point.kind === 'subnet'
            ? 'router'
            : 'exit'
    const { name, owner } = nodeEnd(point.node)
    const key = [point.node, name, owner, world.devices.get(point.node)?.os ?? 'none', point.kind, role].join(' ')
    const found = nodes.get(key) ?? { sums: [0n, 0n, 0n, 0n, 0n, 0n, 0n], peers: new Set() }
    nodes.set(key, found)
    const derp = point.path.startsWith('derp-')
    const more = [
      point.txBytes,
      point.txPkts,
      point.rxBytes,
      point.rxPkts,
      BigInt(point.flows),
      derp ? point.txBytes : 0n,
      derp ? point.rxBytes : 0n,
    ]
    found.sums = found.sums.map((sum, i) => sum + more[i]!)
    const peer = far.id === point.node && far.isNode ? near : far
    if (peer.id !== 'none') found.peers.add(`${peer.isNode} ${peer.id}`)
  }
  const isThere = (sums: readonly bigint[]) => sums.slice(0, 4).some((sum) => sum > 0n)
  const reporting = new Set([...nodes].flatMap(([key, { sums }]) => (isThere(sums) ? [key.split(' ')[0]!] : [])))
  const reports = (one: End) => one.isNode && (reporting.has(one.id) || world.reportedBefore.has(one.id))

  // Edges, with every report on its own.
  interface Report {
    by: string
    fromSrc: boolean
    forth: [bigint, bigint]
    back: [bigint, bigint]
    flows: bigint
  }
  const edges = new Map<string, { src: End; dst: End; reports: Report[] }>()
  for (const { point, near, far, path } of told) {
    let port = -1
    if (point.kind !== 'physical' && PORTED.includes(point.proto)) {
      const both = [point.srcPort, point.dstPort].filter((one) => one > 0)
      const lowest = Math.min(...both)
      if (both.length > 0 && lowest < 32768) port = lowest
    }
    const isServed = (mine: number, other: number) => port !== -1 && mine === port && other !== port
    let swapped: boolean
    if (isServed(point.srcPort, point.dstPort)) swapped = true
    else if (isServed(point.dstPort, point.srcPort)) swapped = false
    else swapped = order(near) > order(far)
    const [src, dst] = swapped ? [far, near] : [near, far]
    const key = [
      point.kind,
      point.proto,
      port === -1 ? 'none' : port,
      path,
      src.isNode,
      src.id,
      dst.isNode,
      dst.id,
    ].join(' ')
    const edge = edges.get(key) ?? { src, dst, reports: [] }
    edges.set(key, edge)
    const sent: [bigint, bigint] = [point.txBytes, point.txPkts]
    const got: [bigint, bigint] = [point.rxBytes, point.rxPkts]
    edge.reports.push({
      by: point.node,
      fromSrc: !swapped,
      forth: swapped ? got : sent,
      back: swapped ? sent : got,
      flows: BigInt(point.flows),
    })
  }

  const rows: string[] = []
  for (const [key, { src, dst, reports: all }] of edges) {
    const isBy = (one: End) => (report: Report) => one.isNode && report.by === one.id
    const bySrc = all.filter(isBy(src))
    const byDst = all.filter(isBy(dst))
    const others = all.filter((report) => !isBy(src)(report) && !isBy(dst)(report))
    let forth: Report[]
    let back: Report[]
    let silent: Report[]
    let heard: number
    if (src.isNode && dst.isNode && src.id === dst.id) {
      forth = bySrc.length > 0 ? bySrc : others
      back = forth
      silent = []
      heard = 1
    } else if (src.isNode && dst.isNode) {
      forth = reports(src) ? bySrc : byDst
      back = reports(dst) ? byDst : bySrc
      silent = reports(src) ? byDst : bySrc
      heard = bySrc.length > 0 && byDst.length > 0 ? 2 : 1
    } else if (src.isNode || dst.isNode) {
      const client = src.isNode ? bySrc : byDst
      forth = reports(src.isNode ? src : dst) ? client : others
      back = forth
      silent = forth === client ? others : client
      heard = client.length > 0 && others.length > 0 ? 2 : 1
    } else {
      const [from, to] = [others.filter((one) => one.fromSrc), others.filter((one) => !one.fromSrc)]
      forth = from.length > 0 ? from : to
      back = to.length > 0 ? to : from
      silent = forth === from ? to : from
      heard = from.length > 0 && to.length > 0 ? 2 : 1
    }
    const sum = (some: Report[], value: (one: Report) => bigint) => some.reduce((total, one) => total + value(one), 0n)
    const sums = [
      sum(forth, (one) => one.forth[0]),
      sum(forth, (one) => one.forth[1]),
      sum(back, (one) => one.back[0]),
      sum(back, (one) => one.back[1]),
    ]
    if (!isThere(sums)) continue
    const flows = sum(forth.length > 0 ? forth : silent, (one) => one.flows)
    const names = [src.name, dst.name, src.owner, dst.owner].join(' ')
    rows.push(`${key} | ${names} | ${sums.map(capped).join(' ')} ${capped(flows)} ${heard}`)
  }
  return {
    edges: rows.toSorted(),
    nodes: [...nodes]
      .filter(([, { sums }]) => isThere(sums))
      .map(([key, { sums, peers }]) => `${key} | ${sums.map(capped).join(' ')} ${peers.size}`)
      .toSorted(),
  }
}

/** Nodes, then others, then `none`; then by the bytes. */
function order(one: End): string {
  return `${one.isNode ? 0 : one.id === 'none' ? 2 : 1} ${Buffer.from(one.id).toString('hex')}`
}

function capped(sum: bigint): bigint {
  return sum > 2n ** 63n - 1n ? 2n ** 63n - 1n : sum
}
