/** Writes what is made from the code (`npm run docs`): from the schema of the settings config/tailflux.yaml, config/settings.schema.json,
 * docs/settings.md and the table in README.md; from types and routes of the HTTP server docs/openapi.json. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { SCHEMA_FILE, settingsJsonSchema } from '../src/config/json-schema.ts'
import { sampleSettings, settingsTable } from '../src/config/print.ts'
import { readOptions } from '../tools/options.ts'
import { openapi } from './openapi.ts'

readOptions('npm run docs', {})

/** The keys that most people set. */
const MAIN_KEYS = [
  'tailscale.tailnet',
  'tailscale.apiKey',
  'tailscale.oauthClientId',
  'tailscale.oauthClientSecret',
  'tailscale.idTokenFile',
  'influx.url',
  'influx.api',
  'influx.token',
  'influx.org',
  'influx.bucket',
  'influx.db',
  'influx.user',
  'influx.password',
  'influx.rp',
  'influx.createDatabase',
  'retention.raw',
  'retention.minutes',
  'retention.rest',
  'ports',
  'tailnetName',
  'dataDir',
  'poll.lookback',
  'http.host',
  'http.port',
  'http.token',
  'log.level',
] as const

const REFERENCE = `# Settings

One YAML file (\`--config FILE\` or \`TAILFLUX_CONFIG\`; [config/tailflux.yaml](../config/tailflux.yaml) shows every key) and the environment, which wins.
Durations have a unit (\`500ms\`, \`30s\`, \`15m\`, \`24h\`, \`30d\`, \`1h30m\`), sizes too: decimal (\`4MB\`, \`1GB\`) or binary (\`64KiB\`, \`8MiB\`: 1,024 each). Log, page, alerts and dashboards show sizes in decimal units. A list in a variable is separated by commas.

- Every key has a variable: \`poll.windowMax\` is \`TAILFLUX_POLL_WINDOW_MAX\`. Where the table shows a shorter one (\`INFLUX_URL\`), the long one
  (\`TAILFLUX_INFLUX_URL\`) works too. An empty variable counts as not set.
- Secrets can come from a file: \`INFLUX_TOKEN_FILE=/run/secrets/token\`, or \`tokenFile:\` in the YAML file. The file is read again for each use, so a
  secret that is replaced needs no restart.
- Unknown keys and variables are errors, and all errors are reported at once, with the line or the variable. A variable that is nearly one of ours without our prefix
  (\`INFLUXDB_URL\`, \`tailscale_api_key\`) is an error too, unless the right one is set as well. Values are taken as they are: write none in quotation marks in a file for
  \`docker --env-file\`, which keeps them; a value that is in quotation marks as a whole is an error.
- The variables that Kubernetes sets for Services (\`TAILFLUX_INFLUXDB_SERVICE_HOST\`, \`TAILFLUX_HTTP_PORT=tcp://...\`) are passed over; the log names them once.
- \`tailflux print-config\` shows the
  settings in force and where each was set, without secrets; \`tailflux print-config --sample\` writes a fresh settings file.
- Editors with a YAML language server (VS Code, Neovim, JetBrains and others) complete keys and mark errors by
  [settings.schema.json](../config/settings.schema.json). The first line of the sample file names it; keep it beside your settings file.
  \`tailflux print-config --schema\` writes it.

## Proxy

In a network that lets only a proxy out, set the usual variables. They count for the Tailscale API, the database, notifiers and commands alike.

| variable | meaning |
|---|---|
| \`HTTPS_PROXY\` | The proxy for https URLs: \`http://host:port\` or \`http://user:password@host:port\`. |
| \`HTTP_PROXY\` | The same for http URLs, such as \`http://influxdb:8086\`. |
| \`NO_PROXY\` | Hosts that are reached directly, separated by commas: \`influxdb,.lan,10.0.0.0/8\`. A domain includes its subdomains; \`*\` means all hosts. |

- This machine (\`localhost\`, \`127.0.0.0/8\`, \`::1\`) is always reached directly. Lower-case names (\`https_proxy\`) work too, and win.
- A database in your own network belongs in \`NO_PROXY\` when \`HTTP_PROXY\` is set. Write IPv6 addresses there one by one; ranges work for IPv4 only.
- SOCKS and \`ALL_PROXY\` do not work. If the proxy re-signs TLS connections, set \`tailscale.caFile\` to its CA certificate, and
  \`influx.caFile\` and \`caFile\` of each notifier where they go through it too.
- The compose file passes the three variables on, and keeps \`influxdb\` in \`NO_PROXY\`. Set them in the shell or in \`.env\`.
- The log names the proxy at the start (\`proxy\`), and \`tailflux check\` shows it, both without its user and password.

## Keys

`

export async function documents(): Promise<ReadonlyMap<string, string>> {
  const readme = await readFile(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')
  const table = `<!-- settings:begin -->\n${settingsTable(MAIN_KEYS)}\n<!-- settings:end -->`
  return new Map([
    ['config/tailflux.yaml', sampleSettings()],
    [`config/${SCHEMA_FILE}`, settingsJsonSchema()],
    ['docs/settings.md', `${REFERENCE}${settingsTable()}\n`],
    ['README.md', readme.replace(/<!-- settings:begin -->[\s\S]*<!-- settings:end -->/, () => table)],
  ])
}

async function write(name: string, text: string): Promise<void> {
  await writeFile(fileURLToPath(new URL(`../${name}`, import.meta.url)), text)
}

if (import.meta.main) {
  for (const [name, text] of await documents()) await write(name, text)
  await write('docs/openapi.json', await openapi())
}
