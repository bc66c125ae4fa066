/** A component around the rules whose messages end now, so that a real Alertmanager takes their times for its own. */
import { type Clock, systemClock } from '../../src/base/clock.ts'
import type { NodeNames } from '../../src/directory/node-names.ts'
import { createWorld, MIN, type World } from './world.ts'

/** Backoff are fifty times shorter; everything else is real. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 50, signal) }

/** `fromNs`: a full minute, so many minutes ago. Everything from there on can be read. */
export async function createPresentWorld(
  settings: Record<string, unknown>,
  { minutes = 12, ...names }: { minutes?: number; names?: NodeNames; owners?: ReadonlyMap<string, string> } = {},
): Promise<{ world: World; fromNs: bigint }> {
  const fromNs = (systemClock.now() / MIN - BigInt(minutes)) * MIN
  return { world: await createWorld({ settings, ...names, originNs: fromNs, clock: hurried }), fromNs }
}
