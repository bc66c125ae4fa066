/** Settings of the sink: which database, with which credentials, and how large requests are. */
import { z } from 'zod'
import { bytesSchema, durationSchema, formatDuration } from '../base/units.ts'
import { secretSchema } from '../secrets/secret.ts'
import type { Target } from './sink.ts'

const name = z.string().min(1).max(256)
const url = z
  .string()
  .refine(isPlainUrl, 'must be a URL such as http://influxdb:8086, without user, password, query and fragment')

const APIS = ['v1', 'v2', 'v3'] as const
export type InfluxApi = (typeof APIS)[number]

export const influxSchema = z
  .strictObject({
    url: url.optional().describe('URL of InfluxDB; without it points go to the embedded store.'),
    api: z
      .enum(APIS)
      .optional()
      .describe(
        'Which write API: v1 (InfluxDB 1.x), v2 (2.x, VictoriaMetrics) or v3 (3 Core, Enterprise); without it tailflux finds it by the version of the server.',
      ),
    token: secretSchema.optional().describe('API token of InfluxDB 2.x and 3.x.'),
    org: name.optional().describe('Organisation of InfluxDB 2.x.'),
    bucket: name.optional().describe('Bucket of 2.x; database of 3.x.'),
    db: name.optional().describe('Database of 1.x (for 3.x the same as bucket).'),
    user: name.optional().describe('User of 1.x.'),
    password: secretSchema.optional().describe('Password of 1.x.'),
    rp: name.optional().describe('Retention policy of 1.x; without it the default one.'),
    createDatabase: z.boolean().default(false).describe('1.x: create the database if it does not exist.'),
    gzip: z.enum(['auto', 'on', 'off']).default('auto').describe('Compress requests; auto: only to other hosts.'),
    batchLinesMax: z.number().int().min(1).max(100_000).default(10_000).describe('Maximum lines per request.'),
    batchBytesMax: bytesSchema({ default: '4MB', min: '64KiB', max: '24MB' }).describe(
      'Maximum bytes per request, uncompressed.',
    ),
    inFlight: z.number().int().min(1).max(16).default(2).describe('Maximum concurrent requests.'),
    timeout: durationSchema({ default: '30s', min: '1s', max: '10m' }).describe(
      'Timeout for the response to one request.',
    ),
    giveUp: durationSchema({ default: '5m', min: '10s', max: '1h' }).describe(
      'After this time a batch that cannot be written is dropped and its window is read again later; nothing is lost.',
    ),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file with certificate authorities to trust in addition to the default ones.'),
  })
  .superRefine((influx, context) => {
    const fault = (path: keyof typeof influx, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if (influx.token !== undefined && !/^[\u0020-\u007e]+$/.test(influx.token.reveal()))
      fault('token', 'has characters that no token contains; copy it again')
    if (influx.url === undefined) return
    for (const { path, text } of apiFaults(influx)) fault(path, text)
    if ((influx.user === undefined) !== (influx.password === undefined))
      fault('password', 'user and password belong together: set both or none')
    if (influx.user?.includes(':')) fault('user', 'must not contain a colon')
  })

export type InfluxConfig = z.output<typeof influxSchema>

type ApiSettings = Pick<InfluxConfig, 'api' | 'bucket' | 'db' | 'user' | 'password' | 'rp' | 'createDatabase'>

/** Settings that do not fit the write API. Without one, what fits none. */
export function apiFaults(influx: ApiSettings): readonly { readonly path: keyof ApiSettings; readonly text: string }[] {
  const { api, bucket, db } = influx
  const hasUser = influx.user !== undefined || influx.password !== undefined
  const faults: { path: keyof ApiSettings; text: string }[] = []
  const fault = (path: keyof ApiSettings, text: string) => void faults.push({ path, text })
  if (api === undefined) {
    if (bucket === undefined && db === undefined)
      fault('bucket', 'is required: set INFLUX_BUCKET (2.x, 3.x) or INFLUX_DB (1.x)')
    return faults
  }
  if (api === 'v1') {
    if (db === undefined) fault('db', 'is required for api v1: set INFLUX_DB to the name of the database')
    return faults
  }
  if (bucket === undefined && db === undefined) fault('bucket', `is required for api ${api}: set INFLUX_BUCKET`)
  if (hasUser) fault('user', `belongs to api v1: for ${api} set INFLUX_TOKEN, or set INFLUX_API=v1`)
  if (influx.rp !== undefined)
    fault('rp', `belongs to api v1: ${api} has buckets instead; remove INFLUX_RP, or set INFLUX_API=v1`)
  if (influx.createDatabase)
    fault('createDatabase', `belongs to api v1: create the bucket of ${api} with \`tailflux init\``)
  return faults
}

/** How lines become batches. */
export function lineLimits({ batchLinesMax, batchBytesMax }: InfluxConfig) {
  return { batchLinesMax, batchBytesMax }
}

/** The main place as InfluxQL calls it. Buckets of 2.x, and databases of 3.x, may have names like `db/rp`. `isPolicy`: `rp` is a setting of its own. */
export function mainOf({ api, db, bucket, rp }: Pick<InfluxConfig, 'api' | 'db' | 'bucket' | 'rp'>): {
  readonly db: string
  readonly rp: string | undefined
  readonly isPolicy: boolean
} {
  if (api === 'v1' || (api === undefined && rp !== undefined)) return { db: db ?? '', rp, isPolicy: true }
  const [first = '', ...rest] = (bucket ?? db ?? '').split('/')
  return { db: first, rp: rest.length === 0 ? undefined : rest.join('/'), isPolicy: false }
}

const kept = () => durationSchema({ min: '2d', max: '3650d' }).optional()

export const retentionSchema = z.strictObject({
  raw: kept().describe(
    'How long raw points (tailnet_flow) are kept. Set, they have a place of their own; unset, they are with the rest.',
  ),
  minutes: kept().describe(
    'How long rows of minutes (tailnet_edge, tailnet_node) are kept. Set, they have a place of their own; unset, they are with the rest.',
  ),
  rest: kept().describe('How long everything else is kept: hours, days, devices, windows and events.'),
})

/** How long each kind of points is kept, ms. Undefined: it has no place of its own; of `rest`: as the database keeps it. */
export type Retention = z.output<typeof retentionSchema>

const DAY_MS = 86_400_000
/** Late records are written up to the last late pass, and rows of that time are made again from raw points and minutes. */
const SPARE_MS = 2 * DAY_MS

/** What only shows with other settings. `lastPassMs`: age of the last late pass. */
export function retentionFaults(
  retention: Retention,
  influx: Pick<InfluxConfig, 'api' | 'rp' | 'db' | 'bucket'>,
  lastPassMs: number,
): readonly { readonly path: keyof Retention; readonly text: string }[] {
  const leastMs = lastPassMs + SPARE_MS
  const { rest } = retention
  const { rp, isPolicy } = mainOf(influx)
  return (['raw', 'minutes'] as const).flatMap((path) => {
    const ms = retention[path]
    if (ms === undefined) return []
    const texts: string[] = []
    if (ms < leastMs) {
      texts.push(
        `must be at least ${formatDuration(leastMs)}: the last of poll.latePasses (${formatDuration(lastPassMs)}) and two days. Raise it, or shorten poll.latePasses`,
      )
    }
    if (rest !== undefined && ms > rest) {
      texts.push(`must not be longer than retention.rest (${formatDuration(rest)}). Lower it, or raise retention.rest`)
    }
    if (rp === path) {
      texts.push(
        `needs a place called ${path}, and that is the main place already. Set ${isPolicy ? 'INFLUX_RP' : 'INFLUX_BUCKET'} to another one`,
      )
    }
    return texts.map((text) => ({ path, text }))
  })
}

/** How long the embedded store keeps what goes to each place, ms. It has defaults of its own, never less than the last late pass needs. */
export type StoreRetention = Readonly<Record<Target, number>>

export function storeRetention(retention: Retention, lastPassMs: number): StoreRetention {
  const leastMs = lastPassMs + SPARE_MS
  const raw = retention.raw ?? Math.max(7 * DAY_MS, leastMs)
  const minutes = retention.minutes ?? Math.max(30 * DAY_MS, leastMs)
  return { raw, minutes, main: retention.rest ?? Math.max(365 * DAY_MS, raw, minutes) }
}

export const deadLettersSchema = z.strictObject({
  maxBytes: bytesSchema({ default: '256MiB', min: '1MiB', max: '1TB' }).describe(
    'Maximum disk space for dead letters (data that cannot be stored); beyond it they are only counted.',
  ),
})

function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return (
    (protocol === 'http:' || protocol === 'https:') &&
    username === '' &&
    password === '' &&
    search === '' &&
    hash === ''
  )
}
