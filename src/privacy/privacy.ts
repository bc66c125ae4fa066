/** What the settings hide of names and addresses, in front of everything that sees them. */
import type { Names } from '../directory/names.ts'
import type { Flattener } from '../flatten/flatten.ts'
import type { Device } from '../source/source.ts'
import type { PrivacyConfig } from './config.ts'
import { keyBytes, keyFingerprint } from './key.ts'
import { type AddressMask, createAddressMask, createMask, type Mask } from './mask.ts'
import { maskedDevices, maskedFlattener, maskedNames } from './masked.ts'

/** How addresses are masked at some time: part of the identity of points. */
interface AddressSettings {
  readonly externalAddresses: PrivacyConfig['externalAddresses']
  /** Of the key of hashes. */
  readonly keyFingerprint?: string | undefined
}

export interface Privacy {
  /** Of names and owners. */
  readonly mask: Mask
  /** The same flattener, which sees only masked addresses. */
  flattener(flattener: Flattener): Flattener
  /** The same names, which learn and return only masked names. */
  names<T extends Names>(names: T): T
  devices(devices: readonly Device[]): readonly Device[]
}

const NO_KEY = new Uint8Array()

/** `at`: the settings in force for a message with this `start`, ns. */
export function createPrivacy(config: PrivacyConfig, at: (startNs: bigint) => AddressSettings): Privacy {
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

  return {
    mask,
    flattener: (flattener) => maskedFlattener(flattener, maskAt),
    names: (names) => maskedNames(names, mask),
    devices: (devices) => maskedDevices(devices, mask),
  }
}
