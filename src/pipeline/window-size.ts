/** How long the next window should be, so that its answer has about `bytesTarget` bytes. */

/** A window of this length is not halved any more: it becomes a gap. */
export const WINDOW_MIN_NS = 1_000_000n

export interface WindowSize {
  /** Length of the next window, ns. */
  readonly lengthNs: bigint
  /** A window of this length had this many decoded bytes. */
  succeeded(lengthNs: bigint, bytes: number): void
  /** A window of this length was too much: the next one is at most half as long. */
  failed(lengthNs: bigint): void
}

/** Starts at `startNs`. Each success moves it towards the target, at most doubling and at most quartering per step, so that
 * one unusual window (night, a backup) does not change the size too much. */
export function createWindowSize(options: { bytesTarget: number; startNs: bigint; maxNs: bigint }): WindowSize {
  let lengthNs = min(options.startNs, options.maxNs)
  return {
    get lengthNs() {
      return lengthNs
    },
    succeeded(asked, bytes) {
      // Uses bytes per ns and not the ratio of lengths: the window may have been shorter than `lengthNs`.
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
