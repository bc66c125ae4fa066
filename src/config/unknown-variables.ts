/** Variables that look like settings and are none: a setting with a wrong name would otherwise be missing without a word. */

import { distance, suggestion } from '../base/suggestion.ts'
import { replacementOf } from './replaced.ts'
import { VARIABLES } from './variables.ts'

/** An unknown variable with one of these is an error. */
export const OUR_PREFIX = /^(?:TAILFLUX|TAILSCALE|INFLUX)_/
/** Ours, but no keys: the settings file, and what only tests look at. */
const NO_SETTING = /^TAILFLUX_(?:CONFIG$|TEST_|REQUIRE_)/

/** Names that people, other tools and other versions of InfluxDB use, without underscores. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  TAILSCALEKEY: 'TAILSCALE_API_KEY',
  TAILSCALETOKEN: 'TAILSCALE_API_KEY',
  TAILSCALEAPITOKEN: 'TAILSCALE_API_KEY',
  TAILSCALEACCESSTOKEN: 'TAILSCALE_API_KEY',
  TAILSCALEAPIACCESSTOKEN: 'TAILSCALE_API_KEY',
  TAILSCALECLIENTID: 'TAILSCALE_OAUTH_CLIENT_ID',
  TAILSCALEOAUTHID: 'TAILSCALE_OAUTH_CLIENT_ID',
  TAILSCALECLIENTSECRET: 'TAILSCALE_OAUTH_CLIENT_SECRET',
  TAILSCALEOAUTHSECRET: 'TAILSCALE_OAUTH_CLIENT_SECRET',
  TAILSCALETAILNETID: 'TAILSCALE_TAILNET',
  TAILSCALETAILNETNAME: 'TAILSCALE_TAILNET',
  TAILSCALEORGANIZATION: 'TAILSCALE_TAILNET',
  TAILSCALEURL: 'TAILSCALE_API_URL',
  TAILSCALEBASEURL: 'TAILSCALE_API_URL',
  INFLUXHOST: 'INFLUX_URL',
  INFLUXHOSTURL: 'INFLUX_URL',
  INFLUXADDR: 'INFLUX_URL',
  INFLUXADDRESS: 'INFLUX_URL',
  INFLUXENDPOINT: 'INFLUX_URL',
  INFLUXSERVER: 'INFLUX_URL',
  INFLUXPORT: 'INFLUX_URL',
  INFLUXDATABASE: 'INFLUX_DB',
  INFLUXDATABASENAME: 'INFLUX_DB',
  INFLUXDBNAME: 'INFLUX_DB',
  INFLUXBUCKETNAME: 'INFLUX_BUCKET',
  INFLUXORGANIZATION: 'INFLUX_ORG',
  INFLUXORGANISATION: 'INFLUX_ORG',
  INFLUXORGNAME: 'INFLUX_ORG',
  INFLUXORGID: 'INFLUX_ORG',
  INFLUXUSERNAME: 'INFLUX_USER',
  INFLUXPASS: 'INFLUX_PASSWORD',
  INFLUXAUTHTOKEN: 'INFLUX_TOKEN',
  INFLUXAPITOKEN: 'INFLUX_TOKEN',
  INFLUXADMINTOKEN: 'INFLUX_TOKEN',
  INFLUXVERSION: 'INFLUX_API',
  INFLUXRETENTIONPOLICY: 'INFLUX_RP',
}

/** What is no other name of a setting, and has a fix of its own. */
const FIXES: Readonly<Record<string, string>> = {
  TAILSCALEAUTHKEY:
    'is an auth key, for adding devices; the API needs an API access token: set TAILSCALE_API_KEY, and remove TAILSCALE_AUTHKEY here',
  TAILFLUXHTTPTLSCERT: 'is part of one setting: set TAILFLUX_HTTP_TLS to {cert: tls.crt, key: tls.key}',
  TAILFLUXHTTPTLSKEY: 'is part of one setting: set TAILFLUX_HTTP_TLS to {cert: tls.crt, key: tls.key}',
}

/** What is wrong with this variable, with the fix; undefined when nothing is, or it belongs to another program. `isSet`: is the key of a variable set? */
export function faultOfVariable(variable: string, isSet: (variable: string) => boolean): string | undefined {
  if (VARIABLES.has(variable) || NO_SETTING.test(variable)) return undefined
  const replacement = replacementOf(variable)
  if (replacement !== undefined) return `${variable} ${replacement}`
  const name = simplified(variable)
  if (OUR_PREFIX.test(variable)) {
    const fix = FIXES[name]
    if (fix !== undefined) return `${variable} ${fix}`
    const meant = sameAs(name) ?? otherName(name)
    const guess = meant === undefined ? suggestion(variable, [...VARIABLES]) : `; did you mean ${meant}?`
    return `unknown variable ${variable}${guess}; remove or rename it`
  }
  const meant = sameAs(name) ?? (isOfSidecar(variable) ? undefined : (otherName(name) ?? withMistypedPrefix(variable)))
  // Whoever sets both means this one for another program.
  if (meant === undefined || isSet(meant)) return undefined
  return `the variable ${variable} is not read; did you mean ${meant}? Rename it, or set ${meant} too if another program needs ${variable}`
}

/** Without what people leave out or add: `tailscale_apikey`, `INFLUXDB_URL`, `TAIL_SCALE_API_KEY`. */
function simplified(variable: string): string {
  return variable
    .toUpperCase()
    .replace(/^(TAILFLUX_)?(?:INFLUX_?DB_?[23]?|INFLUX_?[23])(?=_)/, '$1INFLUX')
    .replace(/^TS_/, 'TAILSCALE_')
    .replaceAll(/[_-]/g, '')
}

function sameAs(name: string): string | undefined {
  for (const one of VARIABLES) if (one.replaceAll('_', '') === name) return one
  return undefined
}

function otherName(name: string): string | undefined {
  const isFile = name.endsWith('FILE')
  const meant = OTHER_NAMES[isFile ? name.slice(0, -4) : name]
  const variable = meant && isFile ? `${meant}_FILE` : meant
  return variable !== undefined && VARIABLES.has(variable) ? variable : undefined
}

/** `TS_CLIENT_ID` and others are read by Tailscale's own container. */
function isOfSidecar(variable: string): boolean {
  return /^TS_/i.test(variable)
}

/** `TAILSACLE_API_KEY`: the rest must be right, or it is somebody else's. */
function withMistypedPrefix(variable: string): string | undefined {
  const [, prefix = '', rest = ''] = /^([A-Z]{5,})_(.+)$/.exec(variable) ?? []
  if (prefix === '') return undefined
  return ['TAILFLUX', 'TAILSCALE', 'INFLUX']
    .filter((one) => one[0] === prefix[0] && distance(one, prefix) <= 2)
    .map((one) => `${one}_${rest}`)
    .find((one) => VARIABLES.has(one))
}
