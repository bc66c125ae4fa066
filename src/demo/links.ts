/** Which node uses which service of which other node. Links never change. */
import { addressOf, type DemoAddress, type DemoNode } from './nodes.ts'
import { mix } from './random.ts'
import { KIND_EXIT, KIND_SUBNET, SERVICES, type Service } from './services.ts'

export interface Link {
  readonly id: number
  readonly client: number
  readonly server: number
  /** The second router of the same subnet, to which the traffic moves at times; -1 without. */
  readonly standby: number
  readonly service: Service
  /** Uses the IPv6 addresses of both nodes. */
  readonly v6: boolean
  /** Factor on packets; heavy talkers have a large one. */
  readonly weight: number
  /** The address that the client connects to if it is not the server's own: a host behind the router, a service address. */
  readonly far: DemoAddress | undefined
}

export interface Links {
  readonly all: readonly Link[]
  /** The links of each node, as client, as server or as standby. */
  readonly of: readonly (readonly Link[])[]
}

export function createLinks(seed: number, nodes: readonly DemoNode[]): Links {
  const all: Link[] = []
  const of: Link[][] = nodes.map(() => [])
  const taken = new Set<string>()
  const servers = nodes.filter((node) => node.role === 'server')
  const byJob = Map.groupBy(nodes, (node) => node.job)
  const routers = byJob.get('router') ?? []
  /** Two routers serve one subnet. */
  const sites = routers.filter((_, index) => index % 2 === 0)

  function link(client: DemoNode, candidates: readonly DemoNode[], service: Service, salt: number): void {
    if (candidates.length === 0) return
    const h = mix(seed, client.index, salt, 200)
    let server = candidates[h % candidates.length]!
    if (server === client) server = candidates[(h + 1) % candidates.length]!
    if (server === client) return
    // Without ports, both directions are the same tuple.
    const [a, b] = service.clientPort === 'none' && client.index > server.index ? [server, client] : [client, server]
    const key = `${a.index} ${b.index} ${service.kind} ${service.proto} ${service.port}`
    if (taken.has(key)) return
    taken.add(key)
    const h2 = mix(seed, client.index, salt, 201)
    const made: Link = {
      id: all.length,
      client: a.index,
      server: b.index,
      standby: standbyOf(b, service),
      service,
      v6: service.proto === 58 || (service.proto !== 1 && service.kind !== KIND_SUBNET && h2 % 5 === 0),
      weight: h2 % 50 === 1 ? 60 : 0.4 + ((h2 >>> 8) % 200) / 100,
      far: farAddress(b, service, h2),
    }
    all.push(made)
    of[a.index]!.push(made)
    of[b.index]!.push(made)
    if (made.standby >= 0) of[made.standby]!.push(made)
  }

  function standbyOf(server: DemoNode, service: Service): number {
    if (service.kind !== KIND_SUBNET || server.role !== 'router') return -1
    return routers[routers.indexOf(server) + 1]?.index ?? -1
  }

  const jobs = (job: string) => byJob.get(job) ?? servers
  const laptops = byJob.get('laptop') ?? []
  const shared = byJob.get('shared') ?? []
  const exits = byJob.get('exit') ?? []
  const some = (node: DemoNode, salt: number, share: number) => mix(seed, node.index, salt, 202) / 2 ** 32 < share

  for (const node of nodes) {
    if (node.role === 'laptop') {
      link(node, jobs('web'), SERVICES.web, 1)
      link(node, servers, SERVICES.web, 2)
      link(node, jobs('dns'), SERVICES.dns, 3)
      if (some(node, 4, 0.6)) link(node, servers, SERVICES.ssh, 4)
      if (some(node, 5, 0.4)) link(node, jobs('git'), SERVICES.git, 5)
      if (some(node, 6, 0.3)) link(node, jobs('db'), SERVICES.db, 6)
      if (some(node, 7, 0.5)) link(node, jobs('files'), SERVICES.files, 7)
      if (some(node, 7, 0.2)) link(node, jobs('files'), SERVICES.fragments, 8)
      if (some(node, 9, 0.25)) link(node, laptops, SERVICES.call, 9)
      if (some(node, 10, 0.3)) link(node, servers, SERVICES.vip, 10)
      if (some(node, 11, 0.5)) link(node, sites, SERVICES.lanFiles, 11)
      if (some(node, 12, 0.4)) link(node, sites, SERVICES.lanPrinter, 11)
      if (some(node, 13, 0.1)) link(node, sites, SERVICES.lanPing, 11)
      if (some(node, 14, 0.4)) link(node, exits, SERVICES.exit, 14)
      if (some(node, 15, 0.3)) link(node, servers, SERVICES.reject, 15)
      if (some(node, 16, 0.2)) link(node, servers, SERVICES.ping, 16)
      if (some(node, 17, 0.15)) link(node, shared, SERVICES.ssh, 17)
    } else if (node.role === 'phone') {
      link(node, jobs('web'), SERVICES.app, 1)
      link(node, jobs('dns'), SERVICES.dns, 3)
      if (some(node, 4, 0.6)) link(node, exits, SERVICES.exit, 14)
      if (some(node, 5, 0.3)) link(node, sites, SERVICES.lanCamera, 11)
      if (some(node, 6, 0.2)) link(node, servers, SERVICES.reject, 15)
    } else if (node.role === 'sensor') {
      link(node, jobs('web'), SERVICES.reading, 30)
    } else if (node.role === 'runner') {
      link(node, jobs('git'), SERVICES.git, 31)
      link(node, jobs('cache'), SERVICES.cache, 32)
      link(node, jobs('dns'), SERVICES.dnsOfMachines, 33)
    } else if (node.role === 'shared') {
      link(node, jobs('web'), SERVICES.web, 1)
      if (some(node, 34, 0.5)) link(node, sites, SERVICES.lanFiles, 11)
    } else {
      // One monitor and one log server serve about sixty machines.
      link(node, jobs('monitor'), SERVICES.syslog, 20)
      link(node, jobs('dns'), SERVICES.dnsOfMachines, 21)
      link(node, jobs('backup'), SERVICES.backup, 22)
      const monitors = byJob.get('monitor') ?? []
      const monitor = monitors[mix(seed, node.index, 20, 200) % Math.max(1, monitors.length)]
      if (monitor && monitor !== node) link(monitor, [node], SERVICES.scrape, 1000 + node.index)
      if (node.job === 'web' || node.job === 'mail' || node.job === 'ci') {
        link(node, jobs('db'), SERVICES.db, 23)
        link(node, jobs('cache'), SERVICES.cache, 24)
      }
      if (some(node, 25, 0.3)) link(node, servers, SERVICES.ping, 25)
      if (some(node, 26, 0.3)) link(node, servers, SERVICES.ping6, 26)
      if (some(node, 27, 0.1)) link(node, servers, SERVICES.signalling, 27)
      if (some(node, 28, 0.1)) link(node, servers, SERVICES.tunnel, 28)
    }
  }
  return { all, of }
}

function farAddress(server: DemoNode, service: Service, h: number): DemoAddress | undefined {
  if (service.kind === KIND_EXIT) return addressOf(`198.51.${(h >>> 8) % 256}.${1 + (h % 254)}`)
  if (service.kind !== KIND_SUBNET) return undefined
  if (service === SERVICES.vip) return addressOf(`100.127.${server.index >> 8}.${server.index & 255}`)
  const site = `10.${(server.index >> 8) & 255}.${server.index & 255}`
  return addressOf(`${site}.${10 + (h % 200)}`)
}
