/** What `tailflux init` finds on a server, and what it would make or change there. A plan is made by reading only; its steps change the server. */

/** `right`: as it should be. `step`: made or changed by `apply`. `left`: not as it should be, and not changed. */
export type Item = Right | Step | Left

interface Right {
  readonly kind: 'right'
  readonly text: string
}
export interface Step {
  readonly kind: 'step'
  /** What is made or changed: `bucket flows/raw, which keeps points for 7d`. */
  readonly text: string
  /** The same by hand, for someone who may do more than these credentials. */
  readonly byHand: string
  /** Rejects with a CollectorError. */
  apply(signal: AbortSignal): Promise<void>
}
interface Left {
  readonly kind: 'left'
  readonly text: string
  readonly fix: string
  /** tailflux cannot work as it should. */
  readonly isError: boolean
}

/** Reads what is there. Rejects with a CollectorError. */
export type Planner = (signal: AbortSignal) => Promise<readonly Item[]>

export const right = (text: string): Item => ({ kind: 'right', text })
export const left = (text: string, fix: string, isError = false): Item => ({ kind: 'left', text, fix, isError })
export const step = (text: string, byHand: string, apply: Step['apply']): Item => ({
  kind: 'step',
  text,
  byHand,
  apply,
})
