/** Who is told about alerts: a real Alertmanager with a receiver behind it, a webhook, and an ntfy server; and what they heard. */
import type { TestContext } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { startAlertmanager } from '../services/alertmanager.ts'
import { type MovedAlertmanager, moveAlertmanager } from './moved-alertmanager.ts'
import { type NtfyServer, startNtfy } from './ntfy-server.ts'
import { type Received, type Receiver, startReceiver } from './receiver.ts'

/** Who is told. They outlive a service; `use` says whose clock counts. */
export interface Listeners {
  readonly moved: MovedAlertmanager
  /** What Alertmanager itself tells. */
  readonly behind: Receiver
  readonly webhook: Receiver
  readonly ntfy: NtfyServer
  readonly topic: string
  use(clock: Clock): void
  /** What Alertmanager's API says that it holds under this name. */
  held(alertname: string): Promise<HeldAlert[]>
}

export interface HeldAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly status: { readonly state: string }
}

export async function startListeners(t: TestContext): Promise<Listeners> {
  let clock: Clock | undefined
  const now = () => clock?.now() ?? 0n
  const behind = await startReceiver(now)
  const webhook = await startReceiver(now)
  const ntfy = await startNtfy(now)
  // Everything is told at once: what is measured is our own time.
  const alertmanager = await startAlertmanager(t, {
    config: `
route: { receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 100ms, repeat_interval: 24h }
receivers: [{ name: hook, webhook_configs: [{ url: '${behind.url}/am', send_resolved: true }] }]
`,
  })
  const moved = await moveAlertmanager(alertmanager.url, now)
  for (const one of [behind, webhook, ntfy, moved]) t.after(() => one[Symbol.asyncDispose]())
  return {
    moved,
    behind,
    webhook,
    ntfy,
    topic: 'tailnet',
    use(other) {
      clock = other
    },
    async held(alertname) {
      const filter = encodeURIComponent(`alertname="${alertname}"`)
      return (await (await fetch(`${alertmanager.url}/api/v2/alerts?filter=${filter}`)).json()) as HeldAlert[]
    },
  }
}

export type Where = 'webhook' | 'ntfy' | 'Alertmanager' | 'behind it'

/** Somebody heard something about a rule for the first time. */
export interface Heard {
  readonly rule: string
  readonly status: string
  /** `performance.now()`, and the clock of the service. */
  readonly atMs: number
  readonly atNs: bigint
}

export function heardBy({ webhook, ntfy, moved, behind }: Listeners): Record<Where, Heard[]> {
  const ofHook = (all: readonly Received[]) =>
    all.flatMap(({ body, atMs, atNs }) =>
      body.alerts.map((one: { labels: Record<string, string>; status: string }) => ({
        rule: one.labels['alertname'] ?? '',
        status: one.status,
        atMs,
        atNs,
      })),
    )
  // Alertmanager is told again and again: the first time counts.
  const first = new Map(moved.taken.toReversed().map((one) => [`${one.alert.labels['alertname']} ${one.status}`, one]))
  return {
    webhook: ofHook(webhook.received),
    ntfy: ntfy.published.map(({ message, atMs, atNs }) => {
      const [, rule = '', status = ''] = /^(\S+) \((\w+)\)$/.exec(message.title ?? '') ?? []
      return { rule, status, atMs, atNs }
    }),
    Alertmanager: [...first.values()].map(({ alert, status, atMs, atNs }) => ({
      rule: alert.labels['alertname'] ?? '',
      status,
      atMs,
      atNs,
    })),
    'behind it': ofHook(behind.received),
  }
}
