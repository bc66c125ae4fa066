/** A world whose alerts go to a receiver, read minute by minute while the clock goes on. */
import type { TestContext } from 'node:test'
import { createFakeClock, type FakeClock } from '../helpers/fake-clock.ts'
import { startReceiver } from './receiver.ts'
import { createWorld, MIN, T0, type Traffic, type World, type WorldOptions } from './world.ts'

export interface HeardWorld {
  readonly world: World
  readonly clock: FakeClock
  /** Reads up to minute `to`, judging after each. Returns what began and ended: `5 firing`. */
  minutes(to: number, traffic: (minute: number) => readonly Traffic[]): Promise<string[]>
  /** Everything the receiver heard, as `labels status from-to` in minutes. */
  heard(): Promise<string[]>
}

/** `labels`: names of the labels that tell in `heard` what was heard of. */
export async function createHeardWorld(
  t: Pick<TestContext, 'after'>,
  rules: readonly object[],
  labels: readonly string[],
  { startNs = T0, ...options }: Partial<WorldOptions> & { readonly startNs?: bigint } = {},
): Promise<HeardWorld> {
  const receiver = await startReceiver()
  const clock = createFakeClock(startNs)
  const world = await createWorld({ settings: { rules, notify: [{ webhook: receiver.url }] }, clock, ...options })
  t.after(async () => {
    await world.close()
    await receiver.close()
  })
  let at = 0
  return {
    world,
    clock,
    async minutes(to, traffic) {
      const turns: string[] = []
      for (; at < to; at++) {
        const fromNs = T0 + BigInt(at) * MIN
        await clock.advance(at === 0 ? 150_000 : 60_000)
        world.read({ fromNs, toNs: fromNs + MIN }, traffic(at))
        for (const { is } of await world.judge()) turns.push(`${at + 1} ${is}`)
      }
      return turns
    },
    async heard() {
      // Requests are real: let them come to an end, and whatever follows from them.
      let count = -1
      while (count !== receiver.received.length) {
        count = receiver.received.length
        await world.judge()
        await clock.advance(6_000)
        await new Promise((go) => setTimeout(go, 60))
      }
      const minute = (text: string) =>
        text.startsWith('0001') ? '' : Number((BigInt(Date.parse(text)) * 1_000_000n - T0) / MIN)
      return receiver.received.flatMap(({ body }) =>
        body.alerts.map((one: { labels: Record<string, string>; status: string; startsAt: string; endsAt: string }) =>
          [...labels.map((name) => one.labels[name]), one.status, `${minute(one.startsAt)}-${minute(one.endsAt)}`].join(
            ' ',
          ),
        ),
      )
    },
  }
}
