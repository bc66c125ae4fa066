/** The machine that tailflux runs on: space, the data directory, the state file, the port. Leaves nothing behind: who checks may be another
 * user than the one who runs the service, and must not make files that the service then cannot write. */

import { once } from 'node:events'
import { accessSync, constants, existsSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { bytesText } from '../base/format.ts'
import { openStateFile } from '../ledger/sqlite/state-file.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, error, skipped } = findingsOf('machine')

/** What answers at our own address. `unknown`: something that does not show that it is tailflux. */
export type Neighbour = { readonly kind: 'tailflux'; readonly version: string } | { readonly kind: 'unknown' | 'none' }

/** Below it a busy service stands still within hours. */
const FREE_ERROR_BYTES = 64 * 2 ** 20
const FREE_WARNING_BYTES = 2 ** 30

/** `growsBytes`: what may still be written there by the settings (dead letters, the embedded store). */
export function checkDisk(dataDir: string, growsBytes: number): Finding {
  const place = existing(resolve(dataDir))
  const { bavail, bsize } = statfsSync(place)
  const free = bavail * bsize
  const text = `${bytesText(free)} are free at ${place}`
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
  const remedy = 'Let the user of tailflux write there, or set TAILFLUX_DATA_DIR.'
  if (!existsSync(path)) {
    const parent = existing(path)
    try {
      accessSync(parent, constants.W_OK | constants.X_OK)
    } catch (fault) {
      return error('data directory', `${path} does not exist, and cannot be made in ${parent}${codeIn(fault)}.`, remedy)
    }
    return ok('data directory', `${path} does not exist yet; the first start makes it.`)
  }
  if (!statSync(path).isDirectory()) return error('data directory', `${path} is no directory.`, remedy)
  const probe = join(path, `.check-${process.pid}`)
  try {
    writeFileSync(probe, '', { flag: 'wx' })
    rmSync(probe)
  } catch (fault) {
    return error('data directory', `${path} cannot be written to${codeIn(fault)}.`, remedy)
  }
  return ok('data directory', `${path} can be written to.`)
}

/** Takes the lock for a moment, unless another process has it. */
export function checkStateFile(path: string, neighbour: Neighbour, deps: { clock: Clock; log: Logger }): Finding {
  if (!existsSync(path)) return ok('state file', 'There is none yet; the first start makes it and reads the look-back.')
  try {
    openStateFile({ path, mustBeWhole: true }, deps).close()
    return ok('state file', `${path} is whole, and nobody holds it.`)
  } catch (fault) {
    if (!(fault instanceof CollectorError)) throw fault
    if (fault.code !== 'state_locked') {
      return (fault.code === 'state_damaged' ? warning : error)('state file', fault.message)
    }
    if (neighbour.kind === 'tailflux') return ok('state file', `${path} is held by the running tailflux.`)
    return warning(
      'state file',
      `${path} is held by another process, and no tailflux answers at the address of the settings.`,
      'Stop the other one before you start a second, or set TAILFLUX_HTTP_HOST, TAILFLUX_HTTP_PORT and TAILFLUX_HTTP_TOKEN as it has them.',
    )
  }
}

export async function checkPort(at: { host: string; port: number }, neighbour: Neighbour): Promise<Finding> {
  const { host, port } = at
  if (port === 0) return skipped('port', 'http.port is 0: any free port is taken')
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return ok('port', `${host} port ${port} is free.`)
  } catch (fault) {
    const code = fault instanceof Error && 'code' in fault ? String(fault.code) : ''
    if (code === 'EADDRINUSE' && neighbour.kind === 'tailflux') {
      return ok('port', `${host} port ${port} is used by the running tailflux ${neighbour.version}.`)
    }
    if (code === 'EADDRINUSE') {
      return error(
        'port',
        `${host} port ${port} is taken by another program.`,
        'Stop that one, or set TAILFLUX_HTTP_PORT to a free port. If it is a tailflux with a token, set TAILFLUX_HTTP_TOKEN.',
      )
    }
    return error(
      'port',
      `${host} port ${port} cannot be listened on (${code}).`,
      'Set TAILFLUX_HTTP_HOST to 127.0.0.1 or 0.0.0.0, and TAILFLUX_HTTP_PORT to a port above 1023.',
    )
  } finally {
    server.close()
  }
}

/** Who answers at `url`, if anybody does. */
export async function neighbourAt(url: string | undefined, token: string | undefined): Promise<Neighbour> {
  if (url === undefined) return { kind: 'none' }
  try {
    const answer = await fetch(`${url}/api/status`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(3_000),
      redirect: 'error',
    })
    const status = (await answer.json()) as { service?: unknown; version?: unknown }
    return status.service === 'tailflux' ? { kind: 'tailflux', version: String(status.version) } : { kind: 'unknown' }
  } catch (fault) {
    // Nothing listens, or what listens speaks another language: the port tells which of the two.
    return { kind: fault instanceof SyntaxError ? 'unknown' : 'none' }
  }
}

/** The nearest folder above that is there. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path))
}

function codeIn(fault: unknown): string {
  return fault instanceof Error && 'code' in fault ? ` (${fault.code})` : ''
}
