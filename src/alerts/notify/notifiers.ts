/** The notifiers of the settings, and a test of them. */
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { SecretRegistry } from '../../secrets/redactor.ts'
import { fingerprintOf } from '../alert.ts'
import type { AlertsConfig } from '../config.ts'
import { createAlertmanager } from './alertmanager.ts'
import type { NotifierConfig } from './config.ts'
import type { Notification, Notifier, NotifierDeps } from './notifier.ts'
import { createNtfy } from './ntfy.ts'
import { createWebhook } from './webhook.ts'

const CREATE = { alertmanager: createAlertmanager, webhook: createWebhook, ntfy: createNtfy }

export function createNotifiers(configs: readonly NotifierConfig[], deps: NotifierDeps): Notifier[] {
  const notifiers = configs.map((config) => CREATE[config.kind](config, deps))
  const isAlone = (label: string) => notifiers.filter((one) => one.label === label).length === 1
  // Several channels of one service have the same host.
  return notifiers.map((one, index) =>
    isAlone(one.label) ? one : { ...one, label: `${one.label} (number ${index + 1} of alerts.notify)` },
  )
}

/** Sends a test alert to each notifier, and that it is over. Returns the result of each. */
export async function testNotifiers(
  config: Pick<AlertsConfig, 'notify' | 'url'>,
  tailnet: string,
  { clock, secrets }: { readonly clock: Clock; readonly secrets: SecretRegistry },
): Promise<{ readonly label: string; readonly error: string | undefined }[]> {
  const notifiers = createNotifiers(config.notify, {
    clock,
    random: Math.random,
    pageUrl: config.url,
    secrets,
    onAttempt: () => undefined,
  })
  const labels = { alertname: 'tailflux-test', severity: 'info', tailnet }
  const nowNs = clock.now()
  const notification = (status: Notification['status']): Notification => ({
    fingerprint: fingerprintOf(labels),
    status,
    labels,
    title: 'Test of tailflux',
    summary: status === 'firing' ? 'This is a test; nothing happened.' : 'The test is over.',
    annotations: {},
    startsNs: nowNs - 1_000_000_000n,
    endsNs: status === 'firing' ? 0n : nowNs,
  })
  return await Promise.all(
    notifiers.map(async (notifier) => {
      try {
        await notifier.send([notification('firing')], new AbortController().signal)
        // Alertmanager does not pass on the end of an alert before its beginning; there it ends by itself.
        if (notifier.repeatMs === undefined)
          await notifier.send([notification('resolved')], new AbortController().signal)
        return { label: notifier.label, error: undefined }
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return { label: notifier.label, error: error.message }
      }
    }),
  )
}
