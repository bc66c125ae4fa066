/** doctor/: what must be true for the service to run, checked one by one, each with its remedy. Probing (probe-*.ts) and diagnosing
 * (diagnose-*.ts) are separate: diagnosing is pure, so a test can list every answer that a server may give. */
import { CollectorError } from '../base/errors.ts'

export const COMPONENTS = ['settings', 'tailscale', 'database', 'machine'] as const
export type Component = (typeof COMPONENTS)[number]

/** `skipped`: not checked, because an earlier check failed, or because the server does not report it. */
const STATUSES = ['ok', 'warning', 'error', 'skipped'] as const
export type Status = (typeof STATUSES)[number]

export interface Finding {
  readonly component: Component
  /** What was checked: constant, lower-case words. */
  readonly check: string
  readonly status: Status
  /** One sentence that says what was found. */
  readonly text: string
  /** How to fix it; absent when the status is ok, or when `text` ends with it. */
  readonly remedy?: string
}

/** Result of one probe. */
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

/** InfluxQL answered, but the answer cannot be used. */
export function unreadable(why: string): CollectorError {
  return new CollectorError(`InfluxQL ${why}.`, {
    stage: 'sink',
    code: 'db_not_found',
    reaction: 'hold',
  })
}

/** Creates findings of one component. */
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
