/** The state of the service in one sentence: the same on the page and in a terminal. */
import { ageText, countText } from '../base/format.ts'
import type { ComponentHealth, Status } from './health.ts'
import type { StatusAnswer } from './status.ts'

export interface Headline {
  readonly status: Status
  /** One word. */
  readonly word: string
  /** The rest of the sentence; if something is wrong it ends with the fix. */
  readonly text: string
  /** `next try in 40 s`, while something is tried again. */
  readonly next?: string
}

const WORDS: Record<Status, string> = { ok: 'OK', warning: 'Warning', error: 'Error' }
/** A larger backlog is history, not just a short delay. */
const HISTORY_SECONDS = 120

export function headlineOf(status: StatusAnswer): Headline {
  const { health } = status
  if (status.paused) {
    return { status: 'warning', word: 'Paused', text: 'Reading is paused; run `tailflux resume` to continue.' }
  }
  if (health.text !== undefined) {
    const worst = health.components.find((one) => one.status === health.status)
    const next = worst && nextTry(status, worst.component)
    return {
      status: health.status,
      word: WORDS[health.status],
      text: health.text,
      ...(next === undefined ? {} : { next }),
    }
  }
  if (status.lagSeconds === null) return { status: 'ok', word: 'Starting', text: 'No data read yet.' }
  const parts = [`${ageText(status.lagSeconds)} behind`]
  if (status.backlogSeconds >= HISTORY_SECONDS)
    parts.push(`${ageText(status.backlogSeconds)} of history to read${etaIn(status)}`)
  const written = status.live.stages.find(({ stage }) => stage === 'write')
  parts.push(`${countText((written?.perSecond ?? 0) * 60)} points/min`)
  const next = secondsUntil(status.nextPoll, status.now)
  if (next !== undefined) parts.push(`next poll in ${next} s`)
  return { status: 'ok', word: 'OK', text: `${parts.join(', ')}.` }
}

/** When a component that failed is tried again; undefined when nothing waits for that. */
export function nextTry(
  { api, database, live, nextPoll, now }: StatusAnswer,
  component: ComponentHealth['component'],
): string | undefined {
  if (component !== 'source' && component !== 'sink') return undefined
  const seconds = secondsUntil(component === 'source' ? api.next : database.next, now)
  // Polls do it: the next one may be later than the end of the wait.
  if (seconds !== undefined) return `next try in ${ageText(Math.max(seconds, secondsUntil(nextPoll, now) ?? 0))}`
  // A batch is repeated for some minutes before its window fails.
  const waits = component === 'sink' ? live.stages.find(({ stage }) => stage === 'write')?.nextTrySeconds : null
  return typeof waits === 'number' ? `next try in ${ageText(Math.ceil(waits))}` : undefined
}

function etaIn({ etaSeconds }: StatusAnswer): string {
  return etaSeconds === null ? '' : `, done in about ${ageText(etaSeconds)}`
}

function secondsUntil(next: string | null, now: string): number | undefined {
  if (next === null) return undefined
  return Math.max(0, Math.round((Date.parse(next) - Date.parse(now)) / 1000))
}
