import type { DeviceVersion } from './device-version.ts'

/** What `tailnet_device` holds of one tailnet. Every call rejects with a CollectorError (stage `sink`), or with the signal's reason. */
export interface DeviceStore {
  /** False: this kind of database has no such queries and takes no texts (VictoriaMetrics), so that nothing needs to be fixed. Asked at most once. */
  canQuery(signal: AbortSignal): Promise<boolean>
  /** Points whose time lies in [fromNs, toNs), ascending by time. */
  devices(fromNs: bigint, toNs: bigint, signal: AbortSignal): Promise<readonly DeviceVersion[]>
  /** The newest point of each node before this time. */
  newestDevices(beforeNs: bigint, signal: AbortSignal): Promise<readonly DeviceVersion[]>
}
