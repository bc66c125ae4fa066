/** Shows which files of `src` one record runs through, from the bytes of the API's answer to the receipt: the real parts of the line read one
 * message between two small servers, and V8 counts the functions that are called meanwhile.
 *
 *   node tools/record-path/record-path.ts [--write]
 *
 * `--write` puts the list into docs/internals.md, where a test compares it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { Session } from 'node:inspector/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import pino from 'pino'
import { systemClock } from '../../src/base/clock.ts'
import { createSemaphore } from '../../src/base/semaphore.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createFlattener } from '../../src/flatten/flatten.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { deliverWindow } from '../../src/pipeline/deliver-window.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { lineLimits } from '../../src/sink/config.ts'
import { createSink } from '../../src/sink/create-sink.ts'
import { createDeadLetters } from '../../src/sink/dead-letters.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type { Batch, Receipt } from '../../src/sink/sink.ts'
import { createTailscaleSource } from '../../src/source/client.ts'
import { readOptions } from '../options.ts'

const SRC = new URL('../../src/', import.meta.url).href
const SECOND = 1_000_000_000n
const STARTS = Date.parse('2026-11-02T12:00:00Z')

/** Paths in `src` of the files whose functions ran. What runs only when a file is loaded does not count, and neither do metrics and
 * observers, which are beside the path and stubs here. */
export async function recordPath(): Promise<readonly string[]> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })

  /** What ran since the last call. */
  async function take(): Promise<readonly string[]> {
    const { result } = await session.post('Profiler.takePreciseCoverage')
    return result
      .filter(({ url, functions }) => url.startsWith(SRC) && functions.some(isCalled))
      .map(({ url }) => url.slice(SRC.length))
  }

  let round = 0
  await using api = await serve(async (_request, response) => {
    const body = JSON.stringify({ logs: [messageOf(round)] })
    response.writeHead(200, { 'content-type': 'application/json' })
    await take()
    response.end(body)
  })
  await using db = await serve((request, response) => {
    request.resume().on('end', () => response.writeHead(204).end())
  })
  const dir = mkdtempSync(join(tmpdir(), 'tailflux-record-path-'))
  await using parts = new AsyncDisposableStack()
  parts.defer(() => rmSync(dir, { recursive: true }))
  const { settings, secrets } = loadSettings({
    env: {},
    changes: {
      'tailscale.apiUrl': api.url,
      'tailscale.apiKey': 'tskey-api-x',
      'influx.url': db.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
    },
  })
  const clock = systemClock
  const log = pino({ enabled: false })
  const metrics = new Proxy({}, { get: () => () => undefined }) as never
  const state = openStateFile({ path: join(dir, 'state.db') }, { clock, log })
  parts.defer(() => state.close())
  const source = createTailscaleSource(settings.tailscale, {
    clock,
    log,
    metrics,
    secrets: createSecretRegistry(secrets),
  })
  parts.defer(() => source.stop())
  const deadLetters = createDeadLetters({ dir, maxBytes: 1 << 20 }, { clock, log })
  parts.defer(() => deadLetters.stop())
  const sink = createSink(
    { influx: settings.influx, retention: {}, storePath: '', lastPassMs: 0 },
    { clock, log, metrics, deadLetters },
  )
  parts.defer(() => sink.stop())
  const worker = {
    flattener: createFlattener({ tailnetAt: () => 'default', portsAt: () => settings.ports }),
    lines: createLineWriter(lineLimits(settings.influx)),
  }
  const ledger = createLedger(state, 'default')
  ledger.setOrigin(BigInt(STARTS) * 1_000_000n)

  let files: readonly string[] = []
  async function write(batch: Batch, signal: AbortSignal): Promise<Receipt> {
    const receipt = await sink.write(batch, signal)
    files = await take()
    return receipt
  }
  // The first window also fills caches that live as long as the service.
  for (round = 0; round < 2; round += 1) {
    const fromNs = BigInt(STARTS) * 1_000_000n + BigInt(round) * SECOND
    await deliverWindow(
      { fromNs, toNs: fromNs + SECOND, queue: 'live', pass: 1 },
      worker,
      {
        ...{ source, sink: { write }, ledger, deadLetters, metrics, clock, log, observers: { begin: () => metrics } },
        semaphore: createSemaphore(1),
        lagNs: 0n,
        safeNowNs: () => fromNs + 2n * SECOND,
        passAt: () => 1,
        recovery: { nextAckNs: () => fromNs, wasAwaySince: () => false, mayInterrupt: () => false },
        heldBytesMax: 0,
      },
      new AbortController().signal,
    )
  }
  session.disconnect()
  return files.toSorted()
}

function isCalled({ functionName, ranges }: { functionName: string; ranges: { count: number }[] }): boolean {
  return functionName !== '' && (ranges[0]?.count ?? 0) > 0
}

async function serve(onRequest: RequestListener) {
  const server = createServer(onRequest)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => server.closeAllConnections() ?? void server.close(),
  }
}

/** Other addresses in each round, so that no cache has them. */
function messageOf(round: number) {
  const time = (ms: number) => new Date(STARTS + round * 1000 + ms).toISOString()
  const counts = { txPkts: 1, txBytes: 100, rxPkts: 1, rxBytes: 50 }
  const [one, other] = [`100.64.${round}.1`, `100.64.${round}.2`]
  return {
    logged: time(500),
    nodeId: `n${round}CNTRL`,
    start: time(100),
    end: time(400),
    srcNode: { nodeId: `n${round}CNTRL`, name: 'one.ts.net.', addresses: [one] },
    virtualTraffic: [{ proto: 6, src: `${one}:40000`, dst: `${other}:443`, ...counts }],
    physicalTraffic: [{ src: `${other}:0`, dst: `198.51.100.${round}:41641`, ...counts }],
  }
}

/** The list in docs/internals.md: files by folder. */
export function listOf(files: readonly string[]): string {
  const byFolder = Map.groupBy(files, (file) => file.slice(0, file.lastIndexOf('/') + 1))
  return [...byFolder]
    .map(([folder, found]) => `- \`${folder}\`: ${found.map((file) => `\`${basename(file, '.ts')}\``).join(' ')}`)
    .join('\n')
}

const LIST = /(### The files on that path\n\n.*?\n\n)- .*?\n(?=\n)/s

if (process.argv[1] === import.meta.filename) {
  const { write } = readOptions('npm run record-path', { write: { type: 'boolean' } })
  const files = await recordPath()
  console.log(`${listOf(files)}\n\n${files.length} files`)
  if (write) {
    const page = new URL('../../docs/internals.md', import.meta.url)
    writeFileSync(
      page,
      readFileSync(page, 'utf8').replace(LIST, (_, head: string) => `${head}${listOf(files)}\n`),
    )
  }
}
