/** What is known of a device, from one minute on. */
import { MINUTE } from '../base/clock.ts'

export const SOURCES = ['api', 'self', 'peer'] as const
export type DeviceSource = (typeof SOURCES)[number]

export interface DeviceEntry {
  /** Stable id. */
  readonly node: string
  readonly name: string
  /** Its tags in order, joined by commas, or else its user; empty when neither is known. */
  readonly owner: string
  readonly os: string
  readonly addresses: readonly string[]
  readonly source: DeviceSource
  /** When the API got the newest message, or gave the newest list, that says so; its clock, ns. */
  readonly loggedNs: bigint
}

/** Minutes since the epoch, UTC. */
export type Minute = number

export interface DeviceVersion extends DeviceEntry {
  /** Valid from this minute on, until the next version. */
  readonly from: Minute
}

export function minuteOf(ns: bigint): Minute {
  return Number(ns / MINUTE)
}
