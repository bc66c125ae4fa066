/** check/: what must be true for the service to do its work, looked at one by one, each with what to do about it. Asking (ask-*.ts) and
 * judging (judge-*.ts) are apart: judging is pure, so that every answer a server may give can stand in a table of a test. */
import { CollectorError } from '../base/errors.ts'

export const COMPONENTS = ['settings', 'tailscale', 'database', 'machine'] as const
export type Component = (typeof COMPONENTS)[number]

/** `skipped`: could not be looked at, because something before it failed, or because the other side does not tell. */
const STATUSES = ['ok', 'warning', 'error', 'skipped'] as const
export type Status = (typeof STATUSES)[number]

export interface Finding {
  readonly component: Component
  /** What was looked at: constant, lower-case words. */
  readonly check: string
  readonly status: Status
  /** One sentence with what was found. */
  readonly text: string
  /** What to do about it; absent when all is well, or when `text` ends with it. */
  readonly remedy?: string
}

/** What came of asking. */
export type Outcome<T> = { readonly value: T } | { readonly error: CollectorError }

/** Rejects only on a programmer's error. */
export async function outcomeOf<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work() }
  } catch (error) {
    if (error instanceof CollectorError) return { error }
    throw error
  }
}

/** What InfluxQL answers, but not so that it could be used here. */
export function unreadable(why: string): CollectorError {
  return new CollectorError(`InfluxQL ${why}.`, {
    stage: 'sink',
    code: 'db_not_found',
    reaction: 'hold',
  })
}

/** Makes the findings of one component. */
export function findingsOf(component: Component) {
  return {
    ok: (check: string, text: string): Finding => ({ component, check, status: 'ok', text }),
    warning: (check: string, text: string, remedy?: string): Finding => made(component, check, 'warning', text, remedy),
    error: (check: string, text: string, remedy?: string): Finding => made(component, check, 'error', text, remedy),
    skipped: (check: string, text: string): Finding => ({ component, check, status: 'skipped', text }),
  }
}

function made(component: Component, check: string, status: Status, text: string, remedy: string | undefined): Finding {
  return { component, check, status, text, ...(remedy === undefined ? {} : { remedy }) }
}

/** `1 message`, `1,234 messages`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}
