/** What numbers.test.ts and the drawings show: a made-up tailnet in a real InfluxDB, and all that stands there as plain rows. */
import type { Scope } from '../services/server-process.ts'
import type { Tables, TierName } from './model.ts'
import { type Point, type RowsInflux, type Stretch, startRowsInflux, TAILNET, TIERS } from './rows-influx.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, type Rows, type SimulatedRows, simulatedRows } from './simulated-rows.ts'

export interface World {
  readonly rows: SimulatedRows
  readonly stored: RowsInflux
  readonly tables: Tables
}

export interface WorldOptions {
  readonly nodes: number
  readonly seed: number
  readonly toMs: number
  /** Stretches of each tier. */
  readonly holds: Readonly<Record<TierName, readonly Stretch[]>>
  readonly scope?: Scope
}

export async function startWorld({ nodes, seed, toMs, holds, scope }: WorldOptions): Promise<World> {
  const rows = simulatedRows({ nodes, seed })
  const stored = await startRowsInflux(rows, scope)
  const tiers: Record<TierName, Rows> = { minutes: none(), hours: none(), days: none() }
  for (const tier of TIERS) {
    const { edges, nodes } = tiers[tier.name] as { edges: Point[]; nodes: Point[] }
    await stored.fill(tier, holds[tier.name], (one) => {
      edges.push(...one.edges)
      nodes.push(...one.nodes)
    })
  }
  const fromMs = toMs - 4 * HOUR_MS
  const tables = {
    tiers,
    flows: [...flowsOf(rows, tiers.minutes, fromMs)],
    devices: [...devicesOf(rows, toMs)],
    minutes: [...minutesOf(rows, tiers.minutes)],
    windows: [...windowsOf(toMs - 8 * HOUR_MS, toMs)],
  }
  await stored.write('tailnet_flow', tables.flows, 'raw')
  await stored.write('tailnet_device', tables.devices)
  await stored.write('tailflux_minute', tables.minutes)
  await stored.write('tailflux_window', tables.windows)
  const [minutes, hours, days] = TIERS.map(({ name }) => Math.min(...holds[name].map(([from]) => from)))
  await stored.announce({ minutes: minutes!, hours: hours!, days: days! })
  return { rows, stored, tables }
}

const none = (): Rows => ({ edges: [], nodes: [] })

/** The records of the device at the end `src`, unless it is silent. */
function* flowsOf(
  rows: SimulatedRows,
  { edges }: Rows,
  fromMs: number,
): Generator<Point & { fields: Record<string, number> }> {
  const nodes = new Map(rows.nodes.map((node) => [node.id, node]))
  for (const [index, { timeMs, tags, fields }] of edges.entries()) {
    const src = nodes.get(tags['src']!)!
    if (src.isSilent || timeMs < fromMs) continue
    const dst = nodes.get(tags['dst']!)?.address ?? tags['dst']!
    yield {
      timeMs: timeMs + (index % 12) * 5000,
      tags: {
        tailnet: TAILNET,
        node: src.id,
        kind: tags['kind']!,
        proto: tags['proto']!,
        src: src.address,
        dst,
        src_port: 'none',
        dst_port: tags['port']!,
        path: tags['path'] === 'unknown' ? 'none' : tags['path']!,
      },
      fields: {
        tx_bytes: fields['tx_bytes']!,
        rx_bytes: fields['rx_bytes']!,
        tx_pkts: fields['tx_pkts']!,
        rx_pkts: fields['rx_pkts']!,
        flows: fields['flows']!,
      },
    }
  }
}

/** Each device at midnight, and one that was renamed since. */
function* devicesOf(rows: SimulatedRows, toMs: number): Generator<Point> {
  const day = Math.floor(toMs / DAY_MS) * DAY_MS
  const last = rows.at(day, DAY_MS).nodes
  for (const { id, owner, os, address, isSilent } of rows.nodes) {
    const name = last.find(({ tags }) => tags['node'] === id)?.tags['node_name'] ?? id
    const fields = { name, owner, os, addresses: address, source: isSilent ? 'other' : 'api', logged: day - HOUR_MS }
    yield { timeMs: day, tags: { tailnet: TAILNET, node: id }, fields }
    if (id.startsWith('n00002'))
      yield {
        timeMs: day + 3 * HOUR_MS,
        tags: { tailnet: TAILNET, node: id },
        fields: { ...fields, owner: 'new@example.org' },
      }
  }
}

/** The last but one has a gap. */
function* minutesOf(
  rows: SimulatedRows,
  { edges }: Rows,
): Generator<Point & { fields: Record<string, number | string | boolean> }> {
  const silent = rows.nodes.filter(({ isSilent }) => isSilent).length
  const minutes = [...Map.groupBy(edges, ({ timeMs }) => timeMs)]
  for (const [index, [timeMs, ofMinute]] of minutes.entries())
    yield {
      timeMs,
      tags: { tailnet: TAILNET },
      fields: {
        digest: String(timeMs),
        points: ofMinute.length * 3,
        rows: ofMinute.length,
        writer: 'test',
        gap: index === minutes.length - 90,
        nodes: rows.nodes.length,
        nodes_silent: silent + (index % 40 < 3 ? 1 : 0),
        edges: ofMinute.length,
        edges_both: ofMinute.filter(({ fields }) => fields['reporters'] === 2).length,
        clock_off: index % 2,
      },
    }
}

/** A service that polls every 30 s, and some later passes. */
function* windowsOf(fromMs: number, toMs: number): Generator<Point & { fields: Record<string, number> }> {
  for (let timeMs = fromMs, index = 0; timeMs <= toMs; timeMs += MINUTE_MS / 2, index++) {
    const messages = 5 + (index % 9)
    yield {
      timeMs,
      tags: { tailnet: TAILNET, pass: index % 10 === 3 ? '2' : '1', writer: 'test' },
      fields: {
        watermark: timeMs * 1_000_000,
        acked: (timeMs + MINUTE_MS) * 1_000_000,
        lag_ms: 60_000 + (index % 7) * 1000,
        messages,
        entries: messages * 8,
        points: messages * 6,
        duration_ms: 40 + (index % 11) * 5,
      },
    }
  }
}
