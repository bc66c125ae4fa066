/** How the service is, in one sentence: the same on the page and in a terminal. */
import { ageText, countText } from '../base/format.ts'
import type { Status } from '../observe/health.ts'
import type { StatusAnswer } from './status.ts'

export interface Verdict {
  readonly status: Status
  /** One word. */
  readonly word: string
  /** The rest of the sentence; when something is wrong it ends with the remedy. */
  readonly text: string
}

const WORDS: Record<Status, string> = { ok: 'OK', warning: 'Warning', error: 'Error' }
/** More than that is history, not the present being a little late. */
const HISTORY_SECONDS = 120

export function headlineOf(status: StatusAnswer): Verdict {
  const { health } = status
  if (status.paused) {
    return { status: 'warning', word: 'Paused', text: 'Nothing is read; `tailflux resume` lets it go on.' }
  }
  if (health.text !== undefined) return { status: health.status, word: WORDS[health.status], text: health.text }
  if (status.lagSeconds === null) return { status: 'ok', word: 'Starting', text: 'nothing was read yet.' }
  const parts = [`${ageText(status.lagSeconds)} behind`]
  if (status.backlogSeconds >= HISTORY_SECONDS)
    parts.push(`${ageText(status.backlogSeconds)} of history to read${etaIn(status)}`)
  parts.push(`${countText(status.rates.points * 60)} points/min`)
  const next = secondsUntil(status.nextPoll, status.now)
  if (next !== undefined) parts.push(`next poll in ${next} s`)
  return { status: 'ok', word: 'OK', text: `${parts.join(', ')}.` }
}

function etaIn({ etaSeconds }: StatusAnswer): string {
  return etaSeconds === null || etaSeconds === undefined ? '' : `, done in about ${ageText(etaSeconds)}`
}

function secondsUntil(next: string | null | undefined, now: string): number | undefined {
  if (next === null || next === undefined) return undefined
  return Math.max(0, Math.round((Date.parse(next) - Date.parse(now)) / 1000))
}
