/** Numbers as Grafana writes them, for the units that the dashboards use. */

const SI = ['', 'k', 'M', 'G', 'T', 'P']

export function formatValue(
  value: number | null | undefined,
  unit = 'short',
  decimals?: number,
  nowMs?: number,
): string {
  if (value === null || value === undefined) return '-'
  switch (unit) {
    case 'bps':
      return si(value, 1000, (prefix) => `${prefix}b/s`, decimals)
    case 'pps':
      return si(value, 1000, (prefix) => `${prefix}p/s`, decimals)
    case 'cps':
      return si(value, 1000, (prefix) => `${prefix}c/s`, decimals)
    case 'decbytes':
      return si(value, 1000, (prefix) => `${prefix}B`, decimals)
    case 'percent':
      return `${value.toFixed(decimals ?? 1)} %`
    case 'ms':
      return value < 1000
        ? `${trimmed(value, decimals)} ms`
        : value < 60_000
          ? `${trimmed(value / 1000, decimals)} s`
          : `${trimmed(value / 60_000, decimals)} min`
    case 'dateTimeAsIso':
      return new Date(value).toISOString().slice(0, 19).replace('T', ' ')
    case 'dateTimeFromNow':
      return `${Math.round(((nowMs ?? value) - value) / 1000)} seconds ago`
    case 'short':
      return Math.abs(value) < 1000
        ? trimmed(value, decimals)
        : si(value, 1000, (prefix) => (prefix === 'M' ? 'Mil' : prefix === 'k' ? 'K' : prefix), decimals)
    default:
      throw new Error(`unit ${unit}`)
  }
}

function si(value: number, base: number, name: (prefix: string) => string, decimals?: number): string {
  let scaled = value
  let step = 0
  while (Math.abs(scaled) >= base && step < SI.length - 1) {
    scaled /= base
    step += 1
  }
  return `${trimmed(scaled, decimals)} ${name(SI[step]!)}`.trim()
}

function trimmed(value: number, decimals?: number): string {
  if (decimals !== undefined) return value.toFixed(decimals)
  const size = Math.abs(value)
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)))
}

export function clockTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16)
}
