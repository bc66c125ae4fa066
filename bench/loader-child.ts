/** The loader: posts finished bodies as fast as the database takes them. Bodies are made before, by the line of the service. */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { serve } from './child.ts'
import { createLine } from './routes/line.ts'

let bodies: { raw: Buffer; gzip: Buffer }[] = []

export type LoaderOrder =
  | { readonly prepare: readonly string[] }
  | { readonly url: string; readonly connections: number; readonly gzip: boolean }

function prepare(paths: readonly string[]): void {
  bodies = []
  const { run } = createLine((bytes) => {
    const raw = Buffer.from(bytes)
    bodies.push({ raw, gzip: gzipSync(raw, { level: 1 }) })
  })
  for (const path of paths) run(readFileSync(path))
}

async function load({ url, connections, gzip }: { url: string; connections: number; gzip: boolean }): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const left = bodies.map((body) => (gzip ? body.gzip : body.raw))
  async function connection(): Promise<void> {
    for (let body = left.shift(); body; body = left.shift()) await post(url, body, gzip, agent)
  }
  await Promise.all(Array.from({ length: connections }, connection))
  agent.destroy()
}

function post(url: string, body: Buffer, gzip: boolean, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': body.length, ...(gzip ? { 'content-encoding': 'gzip' } : {}) }
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => {
        text += chunk
      })
      answer.once('end', () =>
        answer.statusCode === 204
          ? resolve()
          : reject(new Error(`the database answered ${answer.statusCode}: ${text}`)),
      )
      answer.once('error', reject)
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

serve((order: LoaderOrder) => ('prepare' in order ? prepare(order.prepare) : load(order)))
