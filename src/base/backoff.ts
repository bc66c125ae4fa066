/** How long to wait after failures in a row, for everything that tries again. */

/** Exponential backoff without jitter: `minMs` after the first failure, twice that after the second, and so on up to `maxMs`. */
export function backoffAfter(
  failures: number,
  { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number },
): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 16))
}
