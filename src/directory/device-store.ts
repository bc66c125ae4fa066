import type { DeviceVersion } from './device-history.ts'

/** What `tailnet_device` holds of one tailnet. Both calls reject with a CollectorError (stage `sink`), or with the signal's reason. */
export interface DeviceStore {
  /** Points whose time lies in [fromNs, toNs), ascending by time. */
  devices(fromNs: bigint, toNs: bigint, signal: AbortSignal): Promise<readonly DeviceVersion[]>
  /** The newest point of each node before this time. */
  newestDevices(beforeNs: bigint, signal: AbortSignal): Promise<readonly DeviceVersion[]>
}
