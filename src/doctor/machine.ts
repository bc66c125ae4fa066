/** Checks the machine that tailflux runs on: disk space, data directory, state file, port. Leaves no files behind: `check` may run as another
 * user than the service, which could then not write to them. */

import { once } from 'node:events'
import { accessSync, constants, existsSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { bytesText } from '../base/format.ts'
import { type CertificateFiles, readCertificate } from '../http/certificate.ts'
import { ask } from '../http-client/ask.ts'
import { openStateFile } from '../ledger/sqlite/state-file.ts'
import { type Finding, findingsOf, outcomeOf } from './finding.ts'

const { ok, warning, error, skipped } = findingsOf('machine')

/** What answers at our own address. `unknown`: a server that does not identify itself as tailflux. */
export type Neighbour = { readonly kind: 'tailflux'; readonly version: string } | { readonly kind: 'unknown' | 'none' }

/** With less, a busy service stops within hours. */
const FREE_ERROR_BYTES = 64 * 2 ** 20
const FREE_WARNING_BYTES = 2 ** 30
/** Far more than a status has. */
const STATUS_BYTES_MAX = 32 << 20

/** `growsBytes`: how much the settings allow to be written there (dead letters, the embedded store). */
export function checkDisk(dataDir: string, growsBytes: number): Finding {
  const place = existing(resolve(dataDir))
  const { bavail, bsize } = statfsSync(place)
  const free = bavail * bsize
  const text = `${bytesText(free)} free at ${place}`
  const remedy = 'Free space, or set TAILFLUX_DATA_DIR to another disk.'
  if (free < FREE_ERROR_BYTES) return error('disk', `${text}.`, remedy)
  if (free < FREE_WARNING_BYTES || free < growsBytes) {
    return warning(
      'disk',
      `${text}; up to ${bytesText(Math.max(FREE_WARNING_BYTES, growsBytes))} may be needed.`,
      remedy,
    )
  }
  return ok('disk', `${text}.`)
}

export function checkDataDir(dataDir: string): Finding {
  const path = resolve(dataDir)
  const remedy = 'Give the user of tailflux write access, or set TAILFLUX_DATA_DIR.'
  if (!existsSync(path)) {
    const parent = existing(path)
    try {
      accessSync(parent, constants.W_OK | constants.X_OK)
    } catch (fault) {
      return error(
        'data directory',
        `${path} does not exist and cannot be created in ${parent}${codeIn(fault)}.`,
        remedy,
      )
    }
    return ok('data directory', `${path} does not exist yet; the first start creates it.`)
  }
  if (!statSync(path).isDirectory()) return error('data directory', `${path} is not a directory.`, remedy)
  const probe = join(path, `.check-${process.pid}`)
  try {
    writeFileSync(probe, '', { flag: 'wx' })
    rmSync(probe)
  } catch (fault) {
    return error('data directory', `${path} is not writable${codeIn(fault)}.`, remedy)
  }
  return ok('data directory', `${path} is writable.`)
}

/** Takes the lock for a moment, unless another process has it. */
export function checkStateFile(path: string, neighbour: Neighbour, deps: { clock: Clock; log: Logger }): Finding {
  if (!existsSync(path))
    return ok(
      'state file',
      'It does not exist yet; the first start creates it and reads the history that poll.lookback says.',
    )
  try {
    openStateFile({ path, mustBeWhole: true }, deps).close()
    return ok('state file', `${path} is intact and not in use.`)
  } catch (fault) {
    if (!(fault instanceof CollectorError)) throw fault
    if (fault.code !== 'state_locked') {
      return (fault.code === 'state_damaged' ? warning : error)('state file', fault.message)
    }
    if (neighbour.kind === 'tailflux') return ok('state file', `${path} is in use by the running tailflux.`)
    return warning(
      'state file',
      `${path} is in use by another process, and no tailflux answers at the configured address.`,
      'Stop the other process before you start a second one, or use its TAILFLUX_HTTP_HOST, TAILFLUX_HTTP_PORT and TAILFLUX_HTTP_TOKEN.',
    )
  }
}

export async function checkPort(at: { host: string; port: number }, neighbour: Neighbour): Promise<Finding> {
  const { host, port } = at
  if (port === 0) return skipped('port', 'skipped: http.port is 0, so any free port is used')
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return ok('port', `${host} port ${port} is free.`)
  } catch (fault) {
    const code = fault instanceof Error && 'code' in fault ? String(fault.code) : ''
    if (code === 'EADDRINUSE' && neighbour.kind === 'tailflux') {
      return ok('port', `${host} port ${port} is in use by the running tailflux ${neighbour.version}.`)
    }
    if (code === 'EADDRINUSE') {
      return error(
        'port',
        `${host} port ${port} is in use by another program.`,
        'Stop that program, or set TAILFLUX_HTTP_PORT to a free port. If it is a tailflux with a token, set TAILFLUX_HTTP_TOKEN.',
      )
    }
    return error(
      'port',
      `Cannot listen on ${host} port ${port} (${code}).`,
      'Set TAILFLUX_HTTP_HOST to 127.0.0.1 or 0.0.0.0, and TAILFLUX_HTTP_PORT to a port above 1023.',
    )
  } finally {
    server.close()
  }
}

/** The certificate of https. */
export async function checkCertificate(
  files: CertificateFiles | undefined,
  nowMs: number,
): Promise<readonly Finding[]> {
  if (files === undefined) return []
  const found = await outcomeOf(() => readCertificate(files))
  if ('error' in found) return [error('certificate', found.error.message)]
  const { validToMs } = found.value
  const date = new Date(validToMs).toISOString().slice(0, 10)
  return [
    validToMs < nowMs
      ? warning('certificate', `${files.cert} expired on ${date}; clients refuse it.`, 'Renew it.')
      : ok('certificate', `${files.cert} is valid until ${date}, and ${files.key} belongs to it.`),
  ]
}

/** What answers at `url`, our own address, if anything. */
export async function neighbourAt(url: string | undefined, token: string | undefined): Promise<Neighbour> {
  if (url === undefined) return { kind: 'none' }
  try {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await ask({ url: `${url}/api/status`, headers, isThisMachine: true }, AbortSignal.timeout(3_000))
    const status = JSON.parse((await answer.text(STATUS_BYTES_MAX)).text) as { service?: unknown; version?: unknown }
    return status.service === 'tailflux' ? { kind: 'tailflux', version: String(status.version) } : { kind: 'unknown' }
  } catch (fault) {
    // Nothing listens, or the answer is not JSON: the port check shows which of the two.
    return { kind: fault instanceof SyntaxError ? 'unknown' : 'none' }
  }
}

/** The nearest parent directory that exists. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path))
}

function codeIn(fault: unknown): string {
  return fault instanceof Error && 'code' in fault ? ` (${fault.code})` : ''
}
