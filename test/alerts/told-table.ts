/** What was told, and when, as a table for people. */
import type { Heard, Where } from './told-listeners.ts'
import type { ToldCase } from './told-pick.ts'
import { MIN } from './world.ts'

export interface ToldRow extends ToldCase {
  readonly form: string
  readonly heard: Readonly<Record<Where, Heard>>
  /** The same of its end. */
  readonly over: Readonly<Record<Where, Heard>>
  /** `performance.now()` when the window that completed the step was done, and when the step was judged. */
  readonly readAt: number
  readonly judgedAt: number
}

const HEAD = [
  'form',
  'fires: threshold',
  'number',
  'just below: threshold',
  'number',
  'lag s',
  'judged ms',
  'webhook ms',
  'ntfy ms',
  'Alertmanager ms',
  'behind it ms',
  'over: lag s',
]

/** As rows of a Markdown table. Lag: from the end of the step that crossed to the arrival, by the clock of the service; ms: real time since the
 * window was done. */
export function tableOf(rows: readonly ToldRow[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(HEAD),
    line(HEAD.map(() => '---')),
    ...rows.map(({ form, fires, below, value, belowValue, firesAt, endsAt, heard, over, readAt, judgedAt }) => {
      const lag = (all: ToldRow['heard'], minute: number) =>
        Math.max(...Object.values(all).map(({ atNs }) => Number(atNs - BigInt(minute) * MIN) / 1e9))
      const ms = (atMs: number) => (atMs - readAt).toFixed(1)
      return line([
        form,
        settingsText(fires),
        numberText(value),
        settingsText(below),
        numberText(belowValue),
        String(lag(heard, firesAt)),
        ms(judgedAt),
        ...(['webhook', 'ntfy', 'Alertmanager', 'behind it'] as const).map((where) => ms(heard[where].atMs)),
        String(lag(over, endsAt)),
      ])
    }),
  ]
}

function settingsText(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')
}

function numberText(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(4)
}
