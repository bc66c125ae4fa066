/** Probes the Tailscale API: signs in, reads a small window, the settings and the devices. */
import { type Clock, MS, SECOND } from '../base/clock.ts'
import type { TailscaleSource } from '../source/client.ts'
import type { SignIn } from '../source/response-errors.ts'
import { type Outcome, outcomeOf } from './finding.ts'

/** What a small window held, as far as it was read. */
export interface WindowFacts {
  readonly seconds: number
  readonly messages: number
  readonly entries: number
  readonly bytes: number
  readonly durationMs: number
  /** Reading stopped early: the window holds more. */
  readonly isCut: boolean
  /** The API's clock, and the local one when its answer began; ns. */
  readonly serverNs: bigint | undefined
  readonly localNs: bigint
}

/** Undefined: not probed, because an earlier step failed. */
export interface TailscaleFacts {
  readonly signIn: Outcome<{ signIn: SignIn; scopes: readonly string[] | undefined }>
  readonly window: Outcome<WindowFacts> | undefined
  readonly settings: Outcome<{ networkFlowLoggingOn?: boolean | undefined }> | undefined
  readonly devices: Outcome<number> | undefined
}

const WINDOW_SECONDS = 60
/** Read when the small one is empty: is the tailnet quiet, or does no data arrive at all? */
const LONG_WINDOW_SECONDS = 3600
/** Enough to show that it works. */
const WINDOW_BYTES_MAX = 8 << 20

export async function probeTailscale(
  source: Pick<TailscaleSource, 'signIn' | 'open' | 'settings' | 'devices'>,
  deps: { readonly clock: Clock; readonly lagNs: bigint },
  signal: AbortSignal,
): Promise<TailscaleFacts> {
  const signIn = await outcomeOf(() => source.signIn(signal))
  if ('error' in signIn) return { signIn, window: undefined, settings: undefined, devices: undefined }
  let window = await outcomeOf(() => readWindow(WINDOW_SECONDS))
  if ('value' in window && window.value.messages === 0) {
    const long = await outcomeOf(() => readWindow(LONG_WINDOW_SECONDS))
    if ('value' in long) window = long
  }
  const isReached =
    'value' in window || window.error.code === 'api_forbidden' || window.error.code === 'api_feature_off'
  if (!isReached) return { signIn, window, settings: undefined, devices: undefined }
  const [settings, devices] = await Promise.all([
    outcomeOf(() => source.settings(signal)),
    outcomeOf(async () => (await source.devices(signal)).length),
  ])
  return { signIn, window, settings, devices }

  async function readWindow(seconds: number): Promise<WindowFacts> {
    const { clock, lagNs } = deps
    const toNs = clock.now() - lagNs
    const beganMs = clock.monotonicMs()
    const answer = await source.open({ fromNs: toNs - BigInt(seconds) * SECOND, toNs }, signal)
    const localNs = clock.now()
    let messages = 0
    let entries = 0
    let isCut = false
    for await (const group of answer.groups) {
      for (const message of group) {
        messages += 1
        entries += message.entryCount
      }
      isCut = answer.bytesRead() > WINDOW_BYTES_MAX || (seconds > WINDOW_SECONDS && messages > 0)
      if (isCut) break
    }
    return {
      seconds,
      messages,
      entries,
      bytes: answer.bytesRead(),
      durationMs: clock.monotonicMs() - beganMs,
      isCut,
      serverNs: answer.serverNs,
      localNs,
    }
  }
}

/** Local clock minus the API's, seconds; undefined when the answer had no Date header. The header has whole seconds: half a second is added. */
export function skewSeconds({ serverNs, localNs }: WindowFacts): number | undefined {
  return serverNs === undefined ? undefined : Number(localNs - serverNs - 500n * MS) / 1e9
}
