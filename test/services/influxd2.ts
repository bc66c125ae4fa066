/** A real InfluxDB 2.x, from the binary that TEST_INFLUXD2 names. Never required: see CONTRIBUTING.md. */
import { join } from 'node:path'
import { type Scope, type ServerProcess, startServer } from './server-process.ts'

/** For `test(name, { skip: noInfluxd2 }, …)`. */
export const noInfluxd2 = (process.env['TEST_INFLUXD2'] ?? '') === '' ? 'TEST_INFLUXD2 names no influxd of 2.x' : false

export interface Influxd2 extends ServerProcess {
  readonly orgId: string
  /** May do everything. */
  readonly token: string
  /** Bucket of the set-up. */
  readonly bucketId: string
  request<T>(method: string, path: string, body?: unknown): Promise<T>
  /** A token that may do this with these buckets, by their ids. */
  newToken(actions: readonly ('read' | 'write')[], bucketIds: readonly string[]): Promise<string>
}

export const ORG = 'home'
const TOKEN = 'admin-token-of-tests-0123456789'

export async function startInfluxd2(scope?: Scope, { bucket = 'flows' } = {}): Promise<Influxd2> {
  const server = await startServer(scope, {
    name: 'influxd2',
    program: String(process.env['TEST_INFLUXD2']),
    args: ({ dir, port }) => [
      ...['--bolt-path', join(dir, 'influxd.bolt'), '--sqlite-path', join(dir, 'influxd.sqlite')],
      ...['--engine-path', join(dir, 'engine'), '--http-bind-address', `127.0.0.1:${port}`, '--reporting-disabled'],
    ],
    readyPath: '/health',
  })

  async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(server.url + path, {
      method,
      headers: { authorization: `Token ${TOKEN}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  const made = await request<{ org: { id: string }; bucket: { id: string } }>('POST', '/api/v2/setup', {
    ...{ username: 'admin', password: 'password-of-tests', org: ORG, bucket, token: TOKEN, retentionPeriodSeconds: 0 },
  })
  const orgID = made.org.id
  return Object.assign(server, {
    orgId: orgID,
    token: TOKEN,
    bucketId: made.bucket.id,
    request,
    async newToken(actions: readonly ('read' | 'write')[], bucketIds: readonly string[]) {
      const permissions = bucketIds.flatMap((id) =>
        actions.map((action) => ({ action, resource: { type: 'buckets', id, orgID } })),
      )
      return (await request<{ token: string }>('POST', '/api/v2/authorizations', { orgID, permissions })).token
    },
  })
}
