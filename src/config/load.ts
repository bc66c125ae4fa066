/** Loads settings from one YAML file and from environment variables, which win. All errors are reported at once, each with its place and
 * its fix. Before everything is valid nothing is opened but the settings file and the files of secrets. */
import { CollectorError } from '../base/errors.ts'
import { readProxy } from '../http-client/proxy.ts'
import { fixedSecret, Secret } from '../secrets/secret.ts'
import { get, set } from './at-path.ts'
import { describeIssue } from './describe-issue.ts'
import { findUnknownVariables, type Gathered, takeSecretOfFile, takeVariables, withoutServices } from './environment.ts'
import { KEYS } from './keys.ts'
import { type Settings, settingsSchema } from './settings.ts'
import { readSettingsFile } from './settings-file.ts'
import { type Environment, filled } from './variables.ts'

export interface Loaded {
  readonly settings: Settings
  /** The settings file, if there is one. */
  readonly path: string | undefined
  /** By key name: the variable or file that set it. Keys that are not in here have their defaults. */
  readonly origins: ReadonlyMap<string, string>
  /** Every secret in force, the passwords of proxies too. */
  readonly secrets: readonly Secret[]
  /** For people; undefined without a proxy. */
  readonly proxy: string | undefined
  /** Variables with our prefixes that Kubernetes sets for Services, and that are no settings. */
  readonly passedOver: readonly string[]
}

const CREDENTIALS: ReadonlySet<string> = new Set(
  ['apiKey', 'oauthClientId', 'oauthClientSecret', 'idTokenFile'].map((name) => `tailscale.${name}`),
)

/** `path`: the settings file; without it `TAILFLUX_CONFIG`, without that none. `changes` win over everything (key name to value as in YAML). Throws a
 * CollectorError (`config_invalid`) whose text has one line for each fault. */
export function loadSettings(
  options: {
    readonly path?: string | undefined
    readonly env?: Environment
    readonly changes?: Readonly<Record<string, unknown>>
    /** For commands that do not use the Tailscale API: its credentials are not looked at, however wrong they are. */
    readonly withoutCredentials?: boolean
  } = {},
): Loaded {
  const { env, passedOver } = withoutServices(options.env ?? process.env)
  const faults: string[] = []
  const origins = new Map<string, string>()
  const path = options.path ?? filled(env['TAILFLUX_CONFIG'])
  const file = path === undefined ? undefined : readSettingsFile(path, faults)
  const raw: Record<string, unknown> = file?.value ?? {}
  const keys = options.withoutCredentials ? KEYS.filter(({ name }) => !CREDENTIALS.has(name)) : KEYS
  if (options.withoutCredentials) removeCredentials(raw)
  for (const key of keys) if (get(raw, key.path) !== undefined) origins.set(key.name, `the file ${path}`)

  const gathered: Gathered = { raw, origins, faults }
  for (const key of keys.filter(({ kind }) => kind === 'secret')) takeSecretOfFile(key, gathered)
  for (const key of keys) takeVariables(key, env, gathered)
  findUnknownVariables(env, gathered)
  for (const [name, value] of Object.entries(options.changes ?? {})) {
    set(raw, name.split('.'), value)
    origins.set(name, 'the command line')
  }

  const proxy = takeProxy(env, faults)
  const parsed = settingsSchema.safeParse(raw)
  for (const issue of parsed.error?.issues ?? []) faults.push(...describeIssue(issue, file, path, origins))
  if (faults.length > 0 || !parsed.success) {
    const count = faults.length === 1 ? 'The settings have 1 error' : `The settings have ${faults.length} errors`
    throw new CollectorError(`${count}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`, {
      stage: 'config',
      code: 'config_invalid',
      reaction: 'hold',
    })
  }
  const secrets = [...secretsIn(parsed.data), ...(proxy?.passwords ?? [])]
  return { settings: parsed.data, path, origins, secrets, proxy: proxy?.text, passedOver }
}

function removeCredentials(raw: Record<string, unknown>): void {
  for (const { name, path } of KEYS) {
    if (!CREDENTIALS.has(name)) continue
    const members = get(raw, path.slice(0, -1))
    if (typeof members !== 'object' || members === null) continue
    Reflect.deleteProperty(members, path.at(-1) ?? '')
    Reflect.deleteProperty(members, `${path.at(-1)}File`)
  }
}

function takeProxy(env: Environment, faults: string[]): { text: string | undefined; passwords: Secret[] } | undefined {
  try {
    const { text, passwords } = readProxy(env)
    return { text, passwords: passwords.map((one) => fixedSecret(one, 'the URL of a proxy')) }
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    faults.push(error.message)
    return undefined
  }
}

function* secretsIn(value: unknown): Iterable<Secret> {
  if (value instanceof Secret) yield value
  else if (typeof value === 'object' && value !== null)
    for (const member of Object.values(value)) yield* secretsIn(member)
}
