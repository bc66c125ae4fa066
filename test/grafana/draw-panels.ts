/** Panels as SVG, drawn after Grafana's looks from the answers of a real database. Not Grafana: only what shows layout and numbers. */

import type { Panel } from './dashboards.ts'
import { clockTime, formatValue } from './draw-format.ts'
import type { Frame, View } from './grafana.ts'

export interface Box {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface Answered {
  /** Per target, in order. */
  readonly frames: readonly (readonly Frame[])[]
  readonly view: View
}

const TEXT = '#ccccdc'
const DIM = '#8e8ea0'
const GRID = '#2c3235'
const COLORS: Readonly<Record<string, string>> = {
  blue: '#5794f2',
  green: '#73bf69',
  orange: '#ff9830',
  purple: '#b877d9',
  text: '#ccccdc',
}
const PALETTE = [
  '#73bf69',
  '#fade2a',
  '#5794f2',
  '#ff9830',
  '#f2495c',
  '#b877d9',
  '#37872d',
  '#8ab8ff',
  '#ffa6b0',
  '#e0b400',
]

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

export function label(
  x: number,
  y: number,
  text: string,
  style: { size?: number; color?: string; anchor?: string; bold?: boolean } = {},
): string {
  const { size = 12, color = TEXT, anchor = 'start', bold = false } = style
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" fill="${color}" text-anchor="${anchor}"${bold ? ' font-weight="600"' : ''}>${escaped(text)}</text>`
}

export function drawPanel(panel: Panel, box: Box, answered: Answered, title: string): string {
  const frame = `<rect x="${box.x}" y="${box.y}" width="${box.w}" height="${box.h}" rx="2" fill="#181b1f" stroke="${GRID}"/>`
  const head = label(box.x + 10, box.y + 19, title, { size: 13, bold: true })
  const inner = { x: box.x + 10, y: box.y + 28, w: box.w - 20, h: box.h - 36 }
  return `<g>${frame}${head}${bodyOf(panel, inner, answered)}</g>`
}

function bodyOf(panel: Panel, box: Box, answered: Answered): string {
  switch (panel.type) {
    case 'stat':
      return drawStat(panel, box, answered)
    case 'timeseries':
      return drawSeries(panel, box, answered)
    case 'table':
      return drawTable(panel, box, answered)
    default:
      return drawText(panel, box)
  }
}

function drawStat(panel: Panel, box: Box, { frames, view }: Answered): string {
  const defaults = panel.fieldConfig!.defaults
  const steps = (defaults['thresholds'] as { steps: { color: string }[] }).steps
  const color = COLORS[steps[0]!.color] ?? TEXT
  const width = box.w / frames.length
  return frames
    .map(([frame], index) => {
      const value = frame?.rows[0]?.find((cell, column) => frame.columns[column] !== 'time' && typeof cell === 'number')
      const text =
        value === undefined ? 'none' : formatValue(value as number, defaults.unit, defaults.decimals, view.toMs)
      const size = Math.min(32, (width / Math.max(text.length, 5)) * 1.4)
      const name = panel.targets![index]!.alias ?? ''
      const x = box.x + width * (index + 0.5)
      const shown = label(x, box.y + box.h * 0.52, text, { size, color, anchor: 'middle', bold: true })
      return frames.length > 1
        ? `${shown}${label(x, box.y + box.h * 0.84, name, { size: 12, color: DIM, anchor: 'middle' })}`
        : shown
    })
    .join('')
}

interface Line {
  readonly name: string
  readonly color: string
  readonly dashed: boolean
  readonly points: readonly (readonly [ms: number, value: number | null])[]
}

function linesOf(panel: Panel, { frames }: Answered): Line[] {
  const overrides = panel.fieldConfig!.overrides
  return frames.flat().map((frame, index) => {
    const matching = overrides.filter(
      ({ matcher }) => matcher.id === 'byRegexp' && new RegExp(matcher.options).test(frame.name),
    )
    const property = (id: string) =>
      matching.flatMap(({ properties }) => properties).find((one) => one.id === id)?.value
    const fixed = (property('color') as { fixedColor: string } | undefined)?.fixedColor
    const sign = property('custom.transform') === 'negative-Y' ? -1 : 1
    const time = frame.columns.indexOf('time')
    const named = overrides.find(({ matcher }) => matcher.id === 'byName' && matcher.options === frame.name)
    const name = named?.properties.find(({ id }) => id === 'displayName')?.value as string | undefined
    return {
      name: name ?? frame.name,
      color: fixed === undefined ? PALETTE[index % PALETTE.length]! : (COLORS[fixed] ?? TEXT),
      dashed: property('custom.lineStyle') !== undefined,
      points: frame.rows.map((row) => {
        const value = row.find((_, column) => column !== time)
        return [Number(row[time]), typeof value === 'number' ? value * sign : null] as const
      }),
    }
  })
}

function drawSeries(panel: Panel, box: Box, answered: Answered): string {
  const lines = linesOf(panel, answered)
  const { unit, decimals } = panel.fieldConfig!.defaults
  const isStacked = JSON.stringify(panel.fieldConfig).includes('"mode":"normal"')
  const legendRows = Math.min(lines.length, 6)
  const plot = { x: box.x + 62, y: box.y + 4, w: box.w - 68, h: box.h - 24 - 16 * (legendRows + 1) }
  const stacked = isStacked ? stackedLines(lines) : lines
  const values = stacked.flatMap(({ points }) => points.flatMap(([, value]) => (value === null ? [] : [value])))
  const top = ceiling(Math.max(0, ...values))
  const bottom = -ceiling(-Math.min(0, ...values))
  const { fromMs, toMs } = answered.view
  const x = (ms: number) => plot.x + ((ms - fromMs) / (toMs - fromMs)) * plot.w
  const y = (value: number) => plot.y + plot.h - ((value - bottom) / (top - bottom || 1)) * plot.h
  const parts: string[] = []
  const step = ceiling((top - bottom) / 4) || 1
  for (let value = Math.ceil(bottom / step) * step; value <= top; value += step) {
    parts.push(`<path d="M${plot.x} ${y(value).toFixed(1)}H${(plot.x + plot.w).toFixed(1)}" stroke="${GRID}"/>`)
    parts.push(
      label(plot.x - 6, y(value) + 4, formatValue(Math.abs(value), unit, decimals), {
        size: 10,
        color: DIM,
        anchor: 'end',
      }),
    )
  }
  const hour = (toMs - fromMs) / 3_600_000 > 12 ? 4 : 1
  for (let ms = Math.ceil(fromMs / (hour * 3_600_000)) * hour * 3_600_000; ms < toMs; ms += hour * 3_600_000)
    parts.push(label(x(ms), plot.y + plot.h + 14, clockTime(ms), { size: 10, color: DIM, anchor: 'middle' }))
  for (const [index, line] of [...stacked.entries()].reverse())
    parts.push(pathOf(line, x, y, isStacked ? 0.35 : line.dashed ? 0 : 0.1, index))
  const legendY = plot.y + plot.h + 32
  const columns = [box.x + box.w - 100, box.x + box.w - 6]
  for (const [i, name] of ['Mean', 'Max'].entries())
    parts.push(label(columns[i]!, legendY, name, { size: 10, color: COLORS['blue']!, anchor: 'end' }))
  for (const [i, line] of lines.slice(0, legendRows).entries()) {
    const known = line.points.flatMap(([, value]) => (value === null ? [] : [Math.abs(value)]))
    const rowY = legendY + 16 * (i + 1)
    parts.push(
      `<rect x="${box.x}" y="${rowY - 5}" width="12" height="3" fill="${line.color}"/>`,
      label(box.x + 18, rowY, line.name, { size: 11 }),
    )
    const mean = known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length)
    for (const [k, value] of [mean, Math.max(0, ...known)].entries())
      parts.push(label(columns[k]!, rowY, formatValue(value, unit, decimals), { size: 11, anchor: 'end' }))
  }
  if (lines.length === 0)
    parts.push(label(box.x + box.w / 2, box.y + box.h / 2, 'No data', { color: DIM, anchor: 'middle' }))
  return parts.join('')
}

function stackedLines(lines: readonly Line[]): Line[] {
  const sums = new Map<number, number>()
  return lines.map((line) => ({
    ...line,
    points: line.points.map(([ms, value]) => {
      sums.set(ms, (sums.get(ms) ?? 0) + (value ?? 0))
      return [ms, sums.get(ms)!] as const
    }),
  }))
}

function pathOf(
  { points, color, dashed }: Line,
  x: (ms: number) => number,
  y: (value: number) => number,
  fill: number,
  _index: number,
): string {
  const known = points.flatMap(([ms, value]) => (value === null ? [] : [`${x(ms).toFixed(1)} ${y(value).toFixed(1)}`]))
  if (known.length === 0) return ''
  const stroke = `<path d="M${known.join('L')}" fill="none" stroke="${color}"${dashed ? ' stroke-dasharray="8 6"' : ''}/>`
  if (fill === 0) return stroke
  const zero = y(0).toFixed(1)
  const area = `<path d="M${known[0]!.split(' ')[0]} ${zero}L${known.join('L')}V${zero}Z" fill="${color}" fill-opacity="${fill}"/>`
  return area + stroke
}

/** A round number that is not smaller. */
function ceiling(value: number): number {
  if (value <= 0) return 0
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((one) => one >= value)!
}

interface Organize {
  readonly indexByName: Readonly<Record<string, number>>
  readonly renameByName: Readonly<Record<string, string>>
  readonly excludeByName: Readonly<Record<string, boolean>>
}

function drawTable(panel: Panel, box: Box, { frames }: Answered): string {
  const [frame] = frames[0]!
  if (frame === undefined)
    return label(box.x + box.w / 2, box.y + box.h / 2, 'No data', { color: DIM, anchor: 'middle' })
  const organize = panel.transformations![0]!.options as unknown as Organize
  const columns = frame.columns
    .map((name, index) => ({ name, index }))
    .filter(({ name }) => !organize.excludeByName[name])
    .sort((a, b) => organize.indexByName[a.name]! - organize.indexByName[b.name]!)
    .map(({ name, index }) => ({ index, ...columnOf(panel, organize.renameByName[name] ?? name) }))
  const sortBy = (panel.options!['sortBy'] as { displayName: string }[])[0]!.displayName
  const sortColumn = columns.find(({ title }) => title === sortBy)!
  const rowsMax = Math.floor((box.h - 22) / 20)
  const rows = frame.rows.toSorted((a, b) => compareCells(b[sortColumn.index], a[sortColumn.index])).slice(0, rowsMax)
  const widths = columns.map(({ index, title, ...column }) =>
    Math.min(24, Math.max(title.length, ...rows.map((row) => cellText(row[index], column).length)) + 2),
  )
  const total = widths.reduce((sum, width) => sum + width, 0)
  const parts: string[] = []
  let x = box.x
  for (const [i, column] of columns.entries()) {
    const width = (widths[i]! / total) * box.w
    const most = Math.max(0, ...rows.map((row) => Number(row[column.index]) || 0))
    const isNumber = column.unit !== undefined
    const edge = isNumber ? x + width - 8 : x + 4
    const anchor = isNumber ? 'end' : 'start'
    parts.push(label(edge, box.y + 13, clipped(column.title, width), { size: 11, color: COLORS['blue']!, anchor }))
    for (const [k, row] of rows.entries()) {
      const rowY = box.y + 22 + k * 20
      if (i === 0) parts.push(`<path d="M${box.x} ${rowY}H${(box.x + box.w).toFixed(1)}" stroke="${GRID}"/>`)
      const cell = row[column.index]
      if (column.bar && most > 0)
        parts.push(
          `<rect x="${(x + 2).toFixed(1)}" y="${rowY + 3}" width="${(((width - 8) * Number(cell)) / most).toFixed(1)}" height="14" fill="${COLORS['green']}" fill-opacity="0.35"/>`,
        )
      const color = column.isLink ? '#6e9fff' : TEXT
      parts.push(
        label(edge, rowY + 14, clipped(cellText(cell, column), width), {
          size: 11,
          color,
          anchor,
        }),
      )
    }
    x += width
  }
  return parts.join('')
}

function columnOf(panel: Panel, title: string) {
  const properties = panel
    .fieldConfig!.overrides.filter(({ matcher }) => matcher.options === title)
    .flatMap((one) => one.properties)
  const value = (id: string) => properties.find((one) => one.id === id)?.value
  return {
    title,
    unit: value('unit') as string | undefined,
    decimals: value('decimals') as number | undefined,
    bar: value('custom.cellOptions') !== undefined,
    isLink: value('links') !== undefined,
    texts: (value('mappings') as [{ options: Record<string, { text: string }> }] | undefined)?.[0].options ?? {},
  }
}

type Cell = string | number | null | undefined
function cellText(cell: Cell, { unit, decimals, texts }: Omit<ReturnType<typeof columnOf>, 'title'>): string {
  if (typeof cell === 'number' && unit === undefined && cell > 1e12)
    return new Date(cell).toISOString().slice(0, 19).replace('T', ' ')
  if (typeof cell === 'number') return formatValue(cell, unit, decimals)
  return texts[cell ?? '']?.text ?? cell ?? '-'
}

function compareCells(a: string | number | null | undefined, b: string | number | null | undefined): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1
}

function clipped(text: string, width: number): string {
  const most = Math.max(3, Math.floor((width - 6) / 6.2))
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}

function drawText(panel: Panel, box: Box): string {
  const words = String((panel.options as { content: string }).content)
    .replaceAll('`', '')
    .split(/[ \n]+/)
  const lines: string[] = ['']
  for (const word of words) {
    if (`${lines.at(-1)} ${word}`.length > box.w / 6.3) lines.push('')
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim()
  }
  return lines.map((line, index) => label(box.x, box.y + 16 + index * 18, line)).join('')
}
