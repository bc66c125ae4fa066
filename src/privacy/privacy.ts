/** What the settings hide of names and addresses, in front of everything that sees them. */
import type { Flattener } from '../flatten/flatten.ts'
import type { Device } from '../source/source.ts'
import type { PrivacyConfig } from './config.ts'
import { keyBytes, keyFingerprint } from './key.ts'
import { type AddressMask, createAddressMask, createMask, type Mask } from './mask.ts'
import { maskedDevices, maskedFlattener } from './masked.ts'

/** How names and addresses are masked at some time. */
interface MaskSettings {
  readonly names: PrivacyConfig['names']
  readonly externalAddresses: PrivacyConfig['externalAddresses']
  /** Of the key of hashes. */
  readonly keyFingerprint?: string | undefined
}

export interface Privacy {
  /** Of names and owners, now. */
  readonly mask: Mask
  /** The same for a time, ns; names whose key is not in the settings any more are dropped. */
  namesAt(timeNs: bigint): Mask
  /** The same flattener, which sees only masked addresses. */
  flattener(flattener: Flattener): Flattener
  /** Devices as they are shown now. */
  devices(devices: readonly Device[]): readonly Device[]
}

const NO_KEY = new Uint8Array()

/** `at`: the settings in force for a message with this `start`, ns. */
export function createPrivacy(config: PrivacyConfig, at: (startNs: bigint) => MaskSettings): Privacy {
  const keys = new Map(
    [config.key, config.formerKey].flatMap((one) => {
      const key = one?.reveal()
      return key === undefined ? [] : [[keyFingerprint(key), keyBytes(key)] as const]
    }),
  )
  const own = config.key === undefined ? NO_KEY : keyBytes(config.key.reveal())
  const mask = createMask(config, own)
  const masks = new Map<string, AddressMask>()

  function maskAt(startNs: bigint): AddressMask | 'keep' | 'no_key' {
    const { externalAddresses: mode, keyFingerprint: fingerprint } = at(startNs)
    if (mode === 'keep') return mode
    const key = mode === 'hash' ? keys.get(fingerprint ?? '') : NO_KEY
    if (key === undefined) return 'no_key'
    const id = `${mode} ${fingerprint}`
    const made = masks.get(id) ?? createAddressMask(mode, key)
    masks.set(id, made)
    return made
  }

  const nameMasks = new Map<string, Mask>()

  function namesAt(timeNs: bigint): Mask {
    const { names: mode, keyFingerprint: fingerprint } = at(timeNs)
    const key = mode === 'hash' ? keys.get(fingerprint ?? '') : NO_KEY
    const names = key === undefined ? 'drop' : mode
    const id = `${names} ${fingerprint}`
    const made = nameMasks.get(id) ?? createMask({ names }, key ?? NO_KEY)
    nameMasks.set(id, made)
    return made
  }

  return {
    mask,
    namesAt,
    flattener: (flattener) => maskedFlattener(flattener, maskAt),
    devices: (devices) => maskedDevices(devices, mask),
  }
}
