/** Prints findings as a table for people and as JSON for programs. */
import { COMPONENTS, type Component, counted, type Finding, type Status } from './finding.ts'

const MARKS: Record<Status, string> = { ok: '✓', warning: '!', error: '✗', skipped: '–' }
const COLOURS: Record<Status, number> = { ok: 32, warning: 33, error: 31, skipped: 2 }
const TITLES: Record<Component, string> = {
  settings: 'Settings',
  tailscale: 'Tailscale',
  database: 'Database',
  machine: 'This machine',
}

interface Summary {
  readonly ok: number
  readonly warning: number
  readonly error: number
  readonly skipped: number
}

function summaryOf(findings: readonly Finding[]): Summary {
  const count = (status: Status) => findings.filter((finding) => finding.status === status).length
  return { ok: count('ok'), warning: count('warning'), error: count('error'), skipped: count('skipped') }
}

/** `width`: columns of the terminal. */
export function reportText(findings: readonly Finding[], options: { width: number; isColoured: boolean }): string {
  const paint = (code: number, text: string) => (options.isColoured ? `\u001b[${code}m${text}\u001b[0m` : text)
  const names = Math.max(...findings.map(({ check }) => check.length))
  const indent = names + 6
  const lines: string[] = []
  for (const component of COMPONENTS) {
    const mine = findings.filter((finding) => finding.component === component)
    if (mine.length === 0) continue
    if (lines.length > 0) lines.push('')
    lines.push(paint(1, TITLES[component]))
    for (const { status, check, text, remedy } of mine) {
      const [first = '', ...rest] = wrapped(text, options.width - indent)
      lines.push(`  ${paint(COLOURS[status], MARKS[status])} ${check.padEnd(names)}  ${first}`)
      for (const line of rest) lines.push(' '.repeat(indent) + line)
      if (remedy === undefined) continue
      for (const [index, line] of wrapped(remedy, options.width - indent - 2).entries())
        lines.push(`${' '.repeat(indent)}${index === 0 ? '→ ' : '  '}${line}`)
    }
  }
  lines.push('', headline(summaryOf(findings), paint))
  return `${lines.join('\n')}\n`
}

function headline({ warning, error }: Summary, paint: (code: number, text: string) => string): string {
  if (error > 0) return paint(31, `${counted(error, 'problem')} must be fixed before tailflux can run (✗).`)
  if (warning > 0) return paint(33, `tailflux can run; ${counted(warning, 'warning')} (!).`)
  return paint(32, 'All checks passed.')
}

export function reportJson(findings: readonly Finding[]): string {
  const summary = summaryOf(findings)
  return `${JSON.stringify({ ok: summary.error === 0, summary, findings }, undefined, 2)}\n`
}

/** Lines of at most `width` columns; newlines of the text stay. */
function wrapped(text: string, width: number): string[] {
  return text.split('\n').flatMap((part) => {
    const lines: string[] = []
    let line = ''
    for (const word of part.trimEnd().split(' ')) {
      if (line !== '' && line.length + word.length + 1 > Math.max(20, width)) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    return [...lines, line]
  })
}
