/** Runs one route over one input, from bytes in memory, as often as it is asked to. */
import { readFileSync } from 'node:fs'
import { serve } from './child.ts'
import { createLine } from './routes/line.ts'
import { discarding, plain, WRITE_OPTIONS } from './routes/plain.ts'
import type { RouteName, RouteRun } from './routes/routes.ts'

const [route, path, entries] = process.argv.slice(2) as [RouteName, string, string]
const body = readFileSync(path)
const run = { line, parse, plain: plainly }[route]()

function line() {
  const { run } = createLine()
  return () => {
    const result = run(body)
    // All are taken: what is quarantined would cost less.
    if (result.entries !== Number(entries) || result.quarantined > 0) throw new Error(JSON.stringify(result))
  }
}

/** Text and tree, and nothing done with them. */
function parse() {
  return () => {
    JSON.parse(body.toString('utf8'))
  }
}

function plainly() {
  const api = discarding().getWriteApi('', 'bench', 'ns', WRITE_OPTIONS)
  return async () => {
    await plain(new Response(body), api)
  }
}

serve(async (): Promise<RouteRun> => {
  const cpuBefore = process.cpuUsage()
  const beganMs = performance.now()
  await run()
  const seconds = (performance.now() - beganMs) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  return { entries: Number(entries), cpuSeconds: (user + system) / 1e6, seconds }
})
