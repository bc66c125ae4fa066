/** The notifiers of the settings, and a test of them. */
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { SecretRegistry } from '../../secrets/redactor.ts'
import { fingerprintOf } from '../alert.ts'
import type { AlertsConfig, NotifierConfig } from '../config.ts'
import { createAlertmanager } from './alertmanager.ts'
import type { News, Notifier, NotifierDeps } from './notifier.ts'
import { createNtfy } from './ntfy.ts'
import { createWebhook } from './webhook.ts'

const CREATE = { alertmanager: createAlertmanager, webhook: createWebhook, ntfy: createNtfy }

export function createNotifiers(configs: readonly NotifierConfig[], deps: NotifierDeps): Notifier[] {
  const notifiers = configs.map((config) => CREATE[config.kind](config, deps))
  const isAlone = (label: string) => notifiers.filter((one) => one.label === label).length === 1
  // The host alone does not tell several channels of one service apart.
  return notifiers.map((one, index) =>
    isAlone(one.label) ? one : { ...one, label: `${one.label} (number ${index + 1} of alerts.notify)` },
  )
}

/** Tells everybody of an alert that is none, and that it is over: what came of it, per notifier. */
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
  const news = (status: News['status']): News => ({
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
        await notifier.send([news('firing')], new AbortController().signal)
        // Alertmanager would not tell of what is over before it has told that it began; there it ends by itself.
        if (notifier.repeatMs === undefined) await notifier.send([news('resolved')], new AbortController().signal)
        return { label: notifier.label, error: undefined }
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return { label: notifier.label, error: error.message }
      }
    }),
  )
}
