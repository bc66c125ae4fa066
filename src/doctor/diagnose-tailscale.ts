/** Diagnoses what the answers of the Tailscale API mean for the service. Pure. */
import type { CollectorError } from '../base/errors.ts'
import { ageText, bytesText } from '../base/format.ts'
import type { SignIn } from '../source/response-errors.ts'
import { counted, type Finding, findingsOf } from './finding.ts'
import { skewSeconds, type TailscaleFacts, type WindowFacts } from './probe-tailscale.ts'

const { ok, warning, error, skipped } = findingsOf('tailscale')

const SIGN_IN: Record<SignIn, string> = {
  api_key: 'an API key (it expires after 90 days at most; an OAuth client does not)',
  oauth_client: 'an OAuth client',
  workload_identity: 'workload identity',
}

/** Scopes that allow it, the narrowest first; the last ones are the names used before November 2024. */
const ALLOW = {
  logs: ['logs:network:read', 'logs:network', 'all:read', 'all', 'network-logs:read', 'logs:read'],
  devices: ['devices:core:read', 'devices:core', 'all:read', 'all', 'devices:read', 'devices'],
} as const
const NOT_NEEDED = /^all$|^all:|^(?!logs:network$)(?!.*:read$).+/

const SKEW_WARNING_SECONDS = 5
/** Beyond this, tokens, certificates and late passes no longer work reliably. */
const SKEW_ERROR_SECONDS = 60

const NTP = 'Turn on time synchronisation (`timedatectl set-ntp true`, or chrony) on this machine or its host.'
const SWITCH_ON =
  'Turn them on in the admin console under Logs > Network flow logs; they need the Premium or Enterprise plan.'
const NO_ANSWER = 'skipped: the API gave no usable answer'

export function diagnoseTailscale(facts: TailscaleFacts, apiUrl: string): readonly Finding[] {
  const findings = [credentials(facts), reach(facts, apiUrl), scopes(facts), feature(facts), traffic(facts)]
  return [...findings, clock(facts), devices(facts)]
}

function credentials({ signIn, window }: TailscaleFacts): Finding {
  if ('error' in signIn) {
    return isAboutCredentials(signIn.error)
      ? error('credentials', signIn.error.message)
      : skipped('credentials', NO_ANSWER)
  }
  const refused = failureOf(window)
  if (refused && isAboutCredentials(refused)) return error('credentials', refused.message)
  if (refused && !isRefusal(refused)) return skipped('credentials', NO_ANSWER)
  return ok('credentials', `The API accepts ${SIGN_IN[signIn.value.signIn]}.`)
}

function reach({ signIn, window }: TailscaleFacts, apiUrl: string): Finding {
  const failure = failureOf(signIn) ?? failureOf(window)
  if (failure?.code === 'config_invalid') return skipped('api', 'skipped: there are no credentials')
  if (failure && !isAboutCredentials(failure) && !isRefusal(failure)) return error('api', failure.message)
  const facts = window && 'value' in window ? window.value : undefined
  return ok('api', `${apiUrl} answers${facts ? `: ${readText(facts)}` : ''}.`)
}

function scopes({ signIn, window }: TailscaleFacts): Finding {
  if ('error' in signIn) return skipped('scopes', NO_ANSWER)
  const { scopes: granted, signIn: kind } = signIn.value
  const refused = failureOf(window)
  if (refused && !isRefusal(refused)) return skipped('scopes', NO_ANSWER)
  if (refused?.code === 'api_unauthorized') return skipped('scopes', 'skipped: the credentials were rejected')
  if (granted === undefined) {
    if (refused?.code === 'api_forbidden') return error('scopes', refused.message)
    const whose = kind === 'api_key' ? 'An API key has the rights of its user, and they' : 'The rights of the token'
    return ok('scopes', `${whose} are sufficient for flow logs.`)
  }
  const list = granted.join(' ') || 'none'
  if (!allows(granted, 'logs')) {
    return error(
      'scopes',
      `The token cannot read flow logs; its scopes: ${list}.`,
      'Give the OAuth client the scope logs:network:read in the admin console under Settings > OAuth clients (Trust credentials), and add it to tailscale.oauthScope if that is set.',
    )
  }
  if (!allows(granted, 'devices')) {
    return warning(
      'scopes',
      `The token can read flow logs but not devices, so clients older than 1.92 have no names; its scopes: ${list}.`,
      'Give the OAuth client the scope devices:core:read as well.',
    )
  }
  const more = granted.filter((scope) => NOT_NEEDED.test(scope))
  const hint = more.length > 0 ? '; logs:network:read and devices:core:read would be enough' : ''
  return ok('scopes', `The token has ${list}${hint}.`)
}

function feature({ window, settings }: TailscaleFacts): Finding {
  const check = 'flow logs'
  const refused = failureOf(window)
  const isOn = settings && 'value' in settings ? settings.value.networkFlowLoggingOn : undefined
  if (refused?.code === 'api_feature_off' || (isOn === false && window !== undefined)) {
    return error(check, 'Network flow logs are turned off for this tailnet.', SWITCH_ON)
  }
  if (window === undefined || (refused && !isRefusal(refused))) return skipped(check, NO_ANSWER)
  if (refused?.code === 'api_unauthorized') return skipped(check, 'skipped: the credentials were rejected')
  if (isOn === true) return ok(check, 'Network flow logs are turned on for this tailnet.')
  if (refused) return skipped(check, 'not known whether they are turned on, because of missing permissions')
  return ok(check, 'Network flow logs can be read.')
}

function traffic({ window }: TailscaleFacts): Finding {
  const check = 'records'
  if (window === undefined || 'error' in window) return skipped(check, 'skipped: flow logs cannot be read')
  const facts = window.value
  if (facts.messages === 0) {
    return warning(
      check,
      `There are no records in the last ${ageText(facts.seconds)}.`,
      'After flow logs are turned on it takes some minutes. Clients must be 1.34 or newer, and there must be traffic between them.',
    )
  }
  if (facts.isCut && facts.messages === 1) return ok(check, `There are records in the last ${ageText(facts.seconds)}.`)
  const atLeast = facts.isCut ? 'at least ' : ''
  return ok(
    check,
    `The last ${ageText(facts.seconds)} hold ${atLeast}${counted(facts.messages, 'message')} with ${counted(facts.entries, 'entry', 'entries')}.`,
  )
}

function clock({ signIn, window }: TailscaleFacts): Finding {
  if (failureOf(signIn)?.code === 'config_invalid') return skipped('clock', NO_ANSWER)
  const seconds = window && 'value' in window ? skewSeconds(window.value) : undefined
  if (seconds === undefined) return skipped('clock', 'the API sent no Date header')
  const amount = Math.abs(seconds)
  if (amount < SKEW_WARNING_SECONDS) return ok('clock', 'The clock of this machine matches that of the API.')
  const what = `The clock of this machine is ${ageText(amount)} ${seconds > 0 ? 'ahead of' : 'behind'} that of the API`
  const effect =
    seconds > 0
      ? 'nothing is lost, but Grafana queries times for which there are no points yet'
      : 'nothing is lost, but everything arrives that much later'
  return (amount < SKEW_ERROR_SECONDS ? warning : error)('clock', `${what}: ${effect}.`, NTP)
}

function devices({ signIn, devices: known }: TailscaleFacts): Finding {
  if (known === undefined) return skipped('devices', NO_ANSWER)
  if ('value' in known) {
    if (known.value > 0) return ok('devices', `${counted(known.value, 'device has', 'devices have')} a name.`)
    return warning('devices', 'The API lists no devices.', 'Check that TAILSCALE_TAILNET is the right tailnet.')
  }
  const granted = 'value' in signIn ? signIn.value.scopes : undefined
  if (known.error.code === 'api_forbidden' && granted !== undefined && !allows(granted, 'devices')) {
    return skipped('devices', 'skipped: the scope is missing (see above)')
  }
  return warning('devices', `Device names cannot be read. ${known.error.message}`)
}

function failureOf(outcome: { readonly value: unknown } | { readonly error: CollectorError } | undefined) {
  return outcome && 'error' in outcome ? outcome.error : undefined
}

/** The API answered that these credentials lack permission. */
function isRefusal({ code }: CollectorError): boolean {
  return code === 'api_forbidden' || code === 'api_feature_off' || code === 'api_unauthorized'
}

function isAboutCredentials({ code }: CollectorError): boolean {
  return code === 'api_unauthorized' || code === 'api_credentials' || code === 'config_invalid'
}

function allows(granted: readonly string[], right: keyof typeof ALLOW): boolean {
  return granted.some((scope) => (ALLOW[right] as readonly string[]).includes(scope))
}

function readText({ seconds, bytes, durationMs }: WindowFacts): string {
  return `${bytesText(bytes)} for ${ageText(seconds)} of flow logs in ${Math.round(durationMs)} ms`
}
