/** Checks that the settings are valid and safe. */

import type { CollectorError } from '../base/errors.ts'
import { KEYS } from '../config/keys.ts'
import type { Loaded } from '../config/load.ts'
import { hasCredentials } from '../config/settings.ts'
import { isLoopback } from '../http/auth.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, error } = findingsOf('settings')

export function badSettings(fault: CollectorError): Finding {
  return error('settings', fault.message)
}

export function checkSettings(loaded: Loaded): readonly Finding[] {
  const { settings, origins, path, proxy } = loaded
  const where = path === undefined ? 'the environment' : `${path} and the environment`
  const findings = [
    ok('settings', `${origins.size} of ${KEYS.length} keys are set, from ${where}; the others have their defaults.`),
  ]
  findings.push(
    ok('proxy', proxy === undefined ? 'No proxy is set; requests go out directly.' : `Requests go through ${proxy}.`),
  )
  if (settings.http.token === undefined && !isLoopback(settings.http.host)) {
    findings.push(
      warning(
        'access',
        `The status page, with names and traffic, listens on ${settings.http.host} without a token.`,
        'Set TAILFLUX_HTTP_TOKEN (`openssl rand -hex 24` generates one), or listen on 127.0.0.1.',
      ),
    )
  }
  if (settings.demo === 'auto' && !hasCredentials(settings)) {
    findings.push(
      warning(
        'demo',
        'There are no credentials, so `tailflux run` shows a simulated tailnet.',
        'Set TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET to see your own.',
      ),
    )
  }
  return findings
}
