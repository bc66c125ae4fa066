/** How long the next window should be, so that its answer has about `bytesTarget` bytes. */

/** Below this a window is not cut any more: it becomes a gap. */
export const WINDOW_MIN_NS = 1_000_000n

export interface WindowSize {
  /** Length to ask for next, ns. */
  readonly lengthNs: bigint
  /** A window of this length brought this many decoded bytes. */
  succeeded(lengthNs: bigint, bytes: number): void
  /** A window of this length was too much: never ask for more than half of it next. */
  failed(lengthNs: bigint): void
}

/** Starts at `startNs`; after each success moves towards the target, at most doubling and at most quartering per step, so that
 * one odd window (night, a backup) does not throw the size about. */
export function createWindowSize(options: { bytesTarget: number; startNs: bigint; maxNs: bigint }): WindowSize {
  let lengthNs = min(options.startNs, options.maxNs)
  return {
    get lengthNs() {
      return lengthNs
    },
    succeeded(asked, bytes) {
      // Density, not the plain ratio: the window may have been shorter than what we would have liked to ask for.
      const ideal = bytes === 0 || asked === 0n ? options.maxNs : (asked * BigInt(options.bytesTarget)) / BigInt(bytes)
      lengthNs = min(max(ideal, lengthNs / 4n, WINDOW_MIN_NS), lengthNs * 2n, options.maxNs)
    },
    failed(asked) {
      lengthNs = max(min(lengthNs, asked / 2n), WINDOW_MIN_NS)
    },
  }
}

export function min(first: bigint, ...rest: bigint[]): bigint {
  return rest.reduce((least, value) => (value < least ? value : least), first)
}
export function max(first: bigint, ...rest: bigint[]): bigint {
  return rest.reduce((most, value) => (value > most ? value : most), first)
}
