/** Thresholds as people write them: `10GB`, `200Mbps`, `25MB/s`, `5000`, `2kpps`. */
import { parseBytes } from '../base/units.ts'

/** What is summed per group. `bytes` and `pkts` are both directions as one end reports them. */
export const MEASURES = ['tx_bytes', 'rx_bytes', 'bytes', 'tx_pkts', 'rx_pkts', 'pkts'] as const
export type Measure = (typeof MEASURES)[number]

export interface Amount {
  /** A whole volume, or one per second. */
  readonly per: 'window' | 'second'
  readonly of: 'bytes' | 'pkts'
  /** Bytes or packets, as `per` says; bits are turned into bytes. */
  readonly value: number
}

const BITS_OF = { bps: 1, kbps: 1e3, mbps: 1e6, gbps: 1e9, tbps: 1e12 } as const
const PKTS_OF = { pps: 1, kpps: 1e3, mpps: 1e6 } as const

/** Undefined when it is none. A bare number counts packets. */
export function parseAmount(input: string | number): Amount | undefined {
  const text = String(input).trim()
  if (/^\d+$/.test(text)) return { per: 'window', of: 'pkts', value: Number(text) }
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([a-z/]+)$/i.exec(text) ?? []
  if (number === undefined || unit === undefined) return undefined
  const name = unit.toLowerCase()
  if (name in BITS_OF) {
    return { per: 'second', of: 'bytes', value: (Number(number) * BITS_OF[name as keyof typeof BITS_OF]) / 8 }
  }
  if (name in PKTS_OF)
    return { per: 'second', of: 'pkts', value: Number(number) * PKTS_OF[name as keyof typeof PKTS_OF] }
  const perSecond = name.endsWith('/s')
  const value = parseBytes(`${number}${perSecond ? unit.slice(0, -2) : unit}`)
  return value === undefined ? undefined : { per: perSecond ? 'second' : 'window', of: 'bytes', value }
}

/** What the sum over a window of so many ms is compared with. */
export function totalOf(amount: Amount, windowMs: number): number {
  return amount.per === 'window' ? amount.value : (amount.value * windowMs) / 1000
}

export function isBytes(measure: Measure): boolean {
  return measure.endsWith('bytes')
}

/** For people: `12.4 GB`, `312 Mbps`, `5,200 packets`. `windowMs`: show a rate over so long. */
export function formatAmount(total: number, of: 'bytes' | 'pkts', perWindowMs?: number): string {
  if (of === 'pkts') {
    if (perWindowMs === undefined) return `${Math.round(total).toLocaleString('en-US')} packets`
    return `${scaled((total * 1000) / perWindowMs, ['', 'k', 'M', 'G'])}pps`
  }
  if (perWindowMs === undefined) return `${scaled(total, ['', 'k', 'M', 'G', 'T', 'P', 'E'])}B`
  return `${scaled((total * 8000) / perWindowMs, ['', 'k', 'M', 'G', 'T', 'P'])}bps`
}

function scaled(value: number, prefixes: readonly string[]): string {
  let index = 0
  let rest = value
  while (rest >= 999.5 && index < prefixes.length - 1) {
    rest /= 1000
    index += 1
  }
  const text =
    rest >= 100 || (index === 0 && Number.isInteger(rest))
      ? String(Math.round(rest))
      : String(Number(rest.toPrecision(3)))
  return `${text} ${prefixes[index]}`
}
