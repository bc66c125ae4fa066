/** True time in slots of 5.25 s: the unit in which traffic is thrown. Times inside a slot are ns after its start. */

export const SLOT_SECONDS = 5.25
export const SLOT_NS = 5_250_000_000n
export const SLOT = Number(SLOT_NS)

export function slotOf(ns: bigint): number {
  return Number(ns / SLOT_NS)
}

export function slotNs(slot: number): bigint {
  return BigInt(slot) * SLOT_NS
}
