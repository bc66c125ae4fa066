/** A real InfluxDB 3 Core, from the binary that TEST_INFLUXD3 names. Never required: see CONTRIBUTING.md. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Scope, type ServerProcess, startServer } from './server-process.ts'

/** For `test(name, { skip: noInfluxd3 }, …)`. */
export const noInfluxd3 =
  (process.env['TEST_INFLUXD3'] ?? '') === '' ? 'TEST_INFLUXD3 names no influxdb3 of 3.x' : false

export interface Influxd3 extends ServerProcess {
  /** May do everything. */
  readonly token: string
  request(method: string, path: string, body?: unknown): Promise<string>
}

const TOKEN = 'apiv3_admin-token-of-tests-0123456789'

export async function startInfluxd3(scope?: Scope): Promise<Influxd3> {
  const server = await startServer(scope, {
    name: 'influxd3',
    program: String(process.env['TEST_INFLUXD3']),
    args: ({ dir, port }) => {
      const file = join(dir, 'admin-token.json')
      writeFileSync(file, JSON.stringify({ token: TOKEN, name: '_admin', expiry_millis: 4_102_444_800_000 }), {
        mode: 0o600,
      })
      return [
        ...['serve', '--node-id', 'tests', '--object-store', 'file', '--data-dir', join(dir, 'data')],
        ...['--http-bind', `127.0.0.1:${port}`, '--admin-token-file', file, '--disable-authz', 'health'],
        '--disable-telemetry-upload',
        // A binary that was built from the source without InfluxData's own query engine needs this for sums.
        ...['--datafusion-config', 'datafusion.execution.skip_physical_aggregate_schema_check:true'],
      ]
    },
    readyPath: '/health',
  })
  return Object.assign(server, {
    token: TOKEN,
    async request(method: string, path: string, body?: unknown) {
      const answer = await fetch(server.url + path, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
      return text
    },
  })
}
