/** The state of the service in one sentence: the same on the page and in a terminal. */
import { ageText, countText } from '../base/format.ts'
import type { Status } from '../observe/health.ts'
import type { StatusAnswer } from '../observe/status.ts'

export interface Headline {
  readonly status: Status
  /** One word. */
  readonly word: string
  /** The rest of the sentence; if something is wrong it ends with the fix. */
  readonly text: string
}

const WORDS: Record<Status, string> = { ok: 'OK', warning: 'Warning', error: 'Error' }
/** A larger backlog is history, not just a short delay. */
const HISTORY_SECONDS = 120

export function headlineOf(status: StatusAnswer): Headline {
  const { health } = status
  if (status.paused) {
    return { status: 'warning', word: 'Paused', text: 'Reading is paused; run `tailflux resume` to continue.' }
  }
  if (health.text !== undefined) return { status: health.status, word: WORDS[health.status], text: health.text }
  if (status.lagSeconds === null) return { status: 'ok', word: 'Starting', text: 'No data read yet.' }
  const parts = [`${ageText(status.lagSeconds)} behind`]
  if (status.backlogSeconds >= HISTORY_SECONDS)
    parts.push(`${ageText(status.backlogSeconds)} of history to read${etaIn(status)}`)
  parts.push(`${countText(status.rates.points * 60)} points/min`)
  const next = secondsUntil(status.nextPoll, status.now)
  if (next !== undefined) parts.push(`next poll in ${next} s`)
  return { status: 'ok', word: 'OK', text: `${parts.join(', ')}.` }
}

function etaIn({ etaSeconds }: StatusAnswer): string {
  return etaSeconds === null ? '' : `, done in about ${ageText(etaSeconds)}`
}

function secondsUntil(next: string | null, now: string): number | undefined {
  if (next === null) return undefined
  return Math.max(0, Math.round((Date.parse(next) - Date.parse(now)) / 1000))
}
