/** The notifiers of the settings. */
import { createAlertmanager } from './alertmanager.ts'
import type { NotifierConfig } from './config.ts'
import type { Notifier, NotifierDeps } from './notifier.ts'
import { createNtfy } from './ntfy.ts'
import { createWebhook } from './webhook.ts'

const CREATE = { alertmanager: createAlertmanager, webhook: createWebhook, ntfy: createNtfy }

export function createNotifiers(configs: readonly NotifierConfig[], deps: NotifierDeps): Notifier[] {
  return configs.map((config) => CREATE[config.kind](config, deps))
}
