/** Pseudo-random numbers as a pure function: the same input always gives the same number, whatever was computed before. */

/** A hash of four whole numbers: 32 bits, unsigned. */
export function mix(seed: number, a: number, b: number, c: number): number {
  let h = (seed ^ Math.imul(c, 0x27d4eb2f)) | 0
  h = Math.imul((h ^ a) + 0x9e3779b9, 0x85ebca6b)
  h ^= h >>> 15
  h = Math.imul((h ^ b) + 0x7f4a7c15, 0xc2b2ae35)
  h ^= h >>> 13
  h = Math.imul(h, 0x165667b1)
  h ^= h >>> 16
  h = Math.imul(h, 0x9e3779b1)
  return (h ^ (h >>> 15)) >>> 0
}

/** One of many numbers that a hash determines: 32 bits, unsigned. */
export function scramble(hash: number, index: number): number {
  let h = Math.imul(hash ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** The limit that `mix` stays below with this probability (0 to 1). */
export function limitOf(chance: number): number {
  return Math.min(1, Math.max(0, chance)) * 2 ** 32
}

/** A sequence of numbers that a seed determines. */
export interface Dice {
  seed(value: number): void
  /** 0 to n - 1. */
  below(n: number): number
  /** Exponential distribution with this mean, rounded down. */
  around(mean: number): number
}

export function createDice(): Dice {
  let state = 0
  function next(): number {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  return {
    seed(value) {
      state = value | 0
    },
    below: (n) => Math.floor((next() / 2 ** 32) * n),
    around: (mean) => Math.floor(-Math.log(1 - next() / 2 ** 32) * mean),
  }
}
