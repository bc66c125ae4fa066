/** `tailflux check`: checks everything that the service needs, and says how to fix what is wrong. */
import { Command } from 'commander'
import { type Clock, MS, systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../config/data-dir.ts'
import type { Loaded } from '../config/load.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { diagnoseInflux, type WritingPlan } from '../doctor/diagnose-influx.ts'
import { diagnoseTailscale } from '../doctor/diagnose-tailscale.ts'
import type { Finding } from '../doctor/finding.ts'
import { checkCertificate, checkDataDir, checkDisk, checkPort, checkStateFile, neighbourAt } from '../doctor/machine.ts'
import { type CheckpointFacts, probeInflux } from '../doctor/probe-influx.ts'
import { probeTailscale } from '../doctor/probe-tailscale.ts'
import { reportJson, reportText } from '../doctor/report.ts'
import { badSettings, checkSettings } from '../doctor/settings.ts'
import { checkStore } from '../doctor/store.ts'
import { readControlToken } from '../http/control-token.ts'
import { createCheckpointReader, UNSHOWN } from '../pipeline/recovery/checkpoint.ts'
import { COMPARED_NS } from '../pipeline/recovery/reconcile.ts'
import { storeRetention } from '../sink/config.ts'
import { createInfluxSink, type InfluxSinkConfig } from '../sink/influxdb/influxdb-sink.ts'
import { createInfluxHttp } from '../sink/influxdb/transport.ts'
import type { Sink, SinkMetrics } from '../sink/sink.ts'
import { createTailscaleSource, type TailscaleSource } from '../source/client.ts'
import type { SourceMetrics } from '../source/source.ts'
import { EXIT } from './exit.ts'
import { addressOf } from './healthcheck.ts'
import { load, silentLogFor } from './settings.ts'

/** The timeouts of the service are too long for a person at a terminal. */
const ANSWER_MS_MAX = 10_000
const WINDOW_MS_MAX = 30_000
const WIDTH_MAX = 110

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Check settings, credentials, API, database and machine, and tell you what to fix. Can run while the service runs.',
    )
    .option('--json', 'as JSON')
    .option('--strict', 'exit code 1 also for warnings (!)')
    .addHelpText(
      'after',
      `
Writes one point of the measurement tailflux_check and one of tailflux_window (pass=probe) to the database, and reads them
back. Changes nothing else.
✓ OK   ! warning   ✗ must be fixed   – not checked
Exit codes: ${EXIT.ok} no ✗, ${EXIT.failed} at least one ✗ (also invalid settings).`,
    )
    .action(async (options: { json?: boolean; strict?: boolean }, command: Command) => {
      const findings = await check(command)
      const width = Math.min(process.stdout.columns ?? WIDTH_MAX, WIDTH_MAX)
      const isColoured = process.stdout.isTTY && process.stdout.hasColors()
      process.stdout.write(options.json ? reportJson(findings) : reportText(findings, { width, isColoured }))
      const bad = options.strict ? ['error', 'warning'] : ['error']
      if (findings.some(({ status }) => bad.includes(status))) process.exitCode = EXIT.failed
    })
}

async function check(command: Command): Promise<readonly Finding[]> {
  let loaded: Loaded
  try {
    loaded = load(command)
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    return [badSettings(error)]
  }
  return await checkAll(loaded, { clock: systemClock })
}

/** Runs all checks. `clock` is compared with the clocks of the API and the database. */
export async function checkAll(loaded: Loaded, { clock }: { clock: Clock }): Promise<readonly Finding[]> {
  // Every wait has its own timeout; only a signal to the process ends this early.
  const { signal } = new AbortController()
  const [tailscale, database, machine] = await Promise.all([
    tailscaleFindings(loaded, clock, signal),
    databaseFindings(loaded, clock, signal),
    machineFindings(loaded, clock),
  ])
  return [...checkSettings(loaded), ...tailscale, ...database, ...machine]
}

async function tailscaleFindings(loaded: Loaded, clock: Clock, signal: AbortSignal): Promise<readonly Finding[]> {
  const { tailscale, poll } = loaded.settings
  const config = {
    ...tailscale,
    headTimeout: Math.min(tailscale.headTimeout, ANSWER_MS_MAX),
    idleTimeout: Math.min(tailscale.idleTimeout, ANSWER_MS_MAX),
    totalTimeout: Math.min(tailscale.totalTimeout, WINDOW_MS_MAX),
  }
  const { log, secrets } = silentLogFor(loaded)
  let source: TailscaleSource
  try {
    source = createTailscaleSource(config, { clock, log, secrets, metrics: unheardSource })
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    const facts = { signIn: { error }, window: undefined, settings: undefined, devices: undefined }
    return diagnoseTailscale(facts, tailscale.apiUrl)
  }
  try {
    const facts = await probeTailscale(source, { clock, lagNs: BigInt(poll.lag) * MS }, signal)
    return diagnoseTailscale(facts, tailscale.apiUrl)
  } finally {
    await source.stop()
  }
}

async function databaseFindings(loaded: Loaded, clock: Clock, signal: AbortSignal): Promise<readonly Finding[]> {
  const { settings } = loaded
  const { influx, poll } = settings
  const { log } = silentLogFor(loaded)
  const tailnet = tailnetTag(settings)
  const plan: WritingPlan = {
    latePassesMs: poll.latePasses,
    lookbackMs: poll.lookback,
    apiRetentionMs: poll.retention,
  }
  const { url } = influx
  if (url === undefined) {
    const retention = storeRetention(settings.retention, poll.latePasses.at(-1) ?? 0)
    const store = { path: pathsIn(settings.dataDir).store, retention, tailnet }
    return await checkStore(store, plan, { clock, log, metrics: unheardSink }, signal)
  }
  const timeout = Math.min(influx.timeout, ANSWER_MS_MAX)
  const config = { ...influx, url, timeout, giveUp: ANSWER_MS_MAX, retention: settings.retention }
  const label = `The database at ${url}`
  const http = createInfluxHttp(config, label)
  try {
    const ask = {
      http,
      label,
      clock,
      tailnet,
      createSink: (known: InfluxSinkConfig, deadLetters: Parameters<typeof createInfluxSink>[1]['deadLetters']) =>
        createInfluxSink(known, { clock, log, metrics: unheardSink, deadLetters }),
      probeCheckpoint: (sink: Pick<Sink, 'write' | 'checkpoint' | 'checkpointStates'>, until: AbortSignal) =>
        probeCheckpoint(sink, { tailnet, clock }, until),
    }
    return diagnoseInflux(await probeInflux(config, ask, signal), config, plan)
  } finally {
    http.stop()
  }
}

/** Runs the same queries as the service: all that it compares, and a probe point that belongs to no window. */
async function probeCheckpoint(
  sink: Pick<Sink, 'write' | 'checkpoint' | 'checkpointStates'>,
  { tailnet, clock }: { readonly tailnet: string; readonly clock: Clock },
  signal: AbortSignal,
): Promise<CheckpointFacts> {
  const nowNs = clock.now()
  const deps = { sink, writer: 'check', nextAckNs: () => nowNs, clock }
  const reader = createCheckpointReader({ tailnet }, deps)
  const found = await reader.read({ fromNs: nowNs - COMPARED_NS, toNs: nowNs }, signal)
  if ('code' in found) return found
  const probed = await reader.probe(nowNs, signal)
  if (probed === 'unkept') return UNSHOWN
  return probed === 'shown' ? { shown: found.points.length } : probed
}

async function machineFindings(loaded: Loaded, clock: Clock): Promise<readonly Finding[]> {
  const { settings } = loaded
  const { log } = silentLogFor(loaded)
  const url = settings.http.port === 0 ? undefined : addressOf(settings)
  const neighbour = await neighbourAt(url, await tokenOf(settings))
  return [
    checkDisk(settings.dataDir, settings.deadLetters.maxBytes),
    checkDataDir(settings.dataDir),
    checkStateFile(pathsIn(settings.dataDir).state, neighbour, { clock, log }),
    await checkPort(settings.http, neighbour),
    ...(await checkCertificate(settings.http.tls, Number(clock.now() / MS))),
  ]
}

async function tokenOf({ dataDir, http }: Settings): Promise<string | undefined> {
  return readControlToken(dataDir) ?? (await http.token?.read())
}

const unheardSource: SourceMetrics = { request: () => undefined, bytes: () => undefined, clockSkew: () => undefined }
const unheardSink: SinkMetrics = {
  request: () => undefined,
  written: () => undefined,
  rejected: () => undefined,
  retried: () => undefined,
}
