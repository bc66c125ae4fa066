/** Which server answers, and so which write API it needs. */
import { type Clock, MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { apiFaults, type InfluxApi, type InfluxConfig } from '../config.ts'
import { messageOf } from './error-message.ts'
import { type RawAnswer, refusal } from './response-policy.ts'
import type { InfluxHttp } from './transport.ts'

export type Product = InfluxApi | 'victoria-metrics' | 'unknown'

/** What `/ping` reports. */
export interface Greeting {
  readonly product: Product
  /** `1.6.7`, without a `v` in front; undefined when the server does not report it. */
  readonly version: string | undefined
  /** `InfluxDB 3 Core`, where the server says so. */
  readonly edition: string | undefined
  /** What an unknown server answered, in short. */
  readonly answered: string
  /** It answered 204 as servers do that accept the write API of 2.x. */
  readonly isPlainPing: boolean
  /** Its clock from the Date header, and the local one then; ms since the epoch. */
  readonly serverMs: number | undefined
  readonly localMs: number
}

/** An answer of any status shows that a server is there. Rejects with a CollectorError when there is none, or when it is out of order (5xx). */
export async function greet(
  { http, label, clock }: { readonly http: InfluxHttp; readonly label: string; readonly clock: Pick<Clock, 'now'> },
  signal: AbortSignal,
): Promise<Greeting> {
  const get = (path: string, accept: string) => http.send({ method: 'GET', path, headers: { accept } }, signal)
  const answer = await get('/ping', 'application/json')
  const localMs = Number(clock.now() / MS)
  if (answer.status >= 500 || answer.status === 407 || answer.status === 429)
    throw refusal(answer, messageOf(answer.body), label, localMs)
  const date = Date.parse(headerOf(answer, 'date'))
  const version = versionIn(headerOf(answer, 'x-influxdb-version')) ?? versionIn(answer.body)
  // InfluxDB 3 reports its version only with a valid token.
  const byAnswer = productOf(version) ?? (isInflux3(answer) ? 'v3' : undefined)
  const byPage = async () => (await get('/', 'text/html')).body.includes('VictoriaMetrics')
  return {
    product: byAnswer ?? ((await byPage()) ? 'victoria-metrics' : 'unknown'),
    version,
    edition: /"product_name"\s*:\s*"([^"]+)"/.exec(answer.body)?.[1],
    answered: answeredText(answer),
    isPlainPing: answer.status === 204,
    serverMs: Number.isNaN(date) ? undefined : date,
    localMs,
  }
}

/** The write API that a server needs; undefined when it does not show what it is. */
export function apiFor({ product, isPlainPing }: Greeting): InfluxApi | undefined {
  if (product === 'victoria-metrics') return 'v2'
  if (product === 'unknown') return isPlainPing ? 'v2' : undefined
  return product
}

/** What an answer of any kind says about the version: every answer of 1.x and 2.x carries it, and 3.x has a header of its own. */
export function apiOfAnswer(answer: Pick<RawAnswer, 'headers'>): InfluxApi | undefined {
  const product = productOf(versionIn(headerOf(answer, 'x-influxdb-version')))
  return product ?? (isInflux3(answer) ? 'v3' : undefined)
}

/** Asks the server which write API it needs. Rejects with a CollectorError while that is not known. */
export async function findApi(
  deps: Parameters<typeof greet>[0],
  signal: AbortSignal,
): Promise<{ readonly api: InfluxApi; readonly greeting: Greeting }> {
  const greeting = await greet(deps, signal)
  const api = apiFor(greeting)
  if (api !== undefined) return { api, greeting }
  throw misconfigured(
    `${deps.label} does not say which InfluxDB it is (it answered ${greeting.answered}). Check that INFLUX_URL is the address of the database itself; if it is, set INFLUX_API to v1, v2 or v3.`,
  )
}

/** The settings with the API that is set, else with the one that the server needs. Rejects with a CollectorError while that is not known, or when other
 * settings do not fit it. */
export async function withApi<C extends InfluxConfig & { readonly url: string }>(
  config: C,
  deps: Parameters<typeof greet>[0],
  signal: AbortSignal,
): Promise<C & { readonly api: InfluxApi; readonly precision?: 'ms' }> {
  const { api } = config
  if (api !== undefined) return { ...config, api }
  const found = await findApi(deps, signal)
  const [fault] = faultsFor(config, found.api)
  if (fault === undefined) {
    const isVictoria = found.greeting.product === 'victoria-metrics'
    return { ...config, api: found.api, ...(isVictoria ? { precision: 'ms' } : {}) }
  }
  throw misconfigured(`${deps.label} is InfluxDB ${found.greeting.version ?? `${found.api.slice(1)}.x`}, and ${fault}.`)
}

function misconfigured(text: string): CollectorError {
  return new CollectorError(text, { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' })
}

/** Settings that do not fit the API that was found, as parts of a sentence. */
export function faultsFor(config: InfluxConfig, api: InfluxApi): readonly string[] {
  const faults = apiFaults({ ...config, api }).map(({ path, text }) => `influx.${path} ${text}`)
  // Before the server was asked, a name with a slash was taken for a bucket's.
  if (api === 'v1' && config.api === undefined && config.rp === undefined && config.db?.includes('/'))
    faults.push('a database with a slash in its name is found only with INFLUX_API=v1')
  return faults
}

function headerOf({ headers }: Pick<RawAnswer, 'headers'>, name: string): string {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

function isInflux3(answer: Pick<RawAnswer, 'headers'>): boolean {
  return headerOf(answer, 'cluster-uuid') !== ''
}

/** `v2.7.6`, `1.6.7~rc0`, `{"version":"3.4.1",…}` → the version without `v`. */
function versionIn(text: string): string | undefined {
  return /^(?:\{.*?"version"\s*:\s*")?v?(\d+\.\d[\w.~+-]*)/s.exec(text.trim())?.[1]
}

function productOf(version: string | undefined): InfluxApi | undefined {
  const major = version?.split('.')[0]
  return major === '1' || major === '2' || major === '3' ? `v${major}` : undefined
}

function answeredText({ status, body }: RawAnswer): string {
  if (body.trim() === '') return `${status} without a text`
  return /^\s*</.test(body) ? `${status} with a web page` : `${status}: ${messageOf(body)}`
}
