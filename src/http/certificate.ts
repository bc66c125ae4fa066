/** The certificate of https: read from its files, and again when they change, so that a renewed one is used without a restart. Their contents are
 * compared: Kubernetes and certbot exchange symbolic links, which whoever watches a file does not see. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Logger } from 'pino'
import { type Clock, MS } from '../base/clock.ts'
import { CollectorError, messageOf, systemCode } from '../base/errors.ts'
import type { HealthReport } from '../observe/health.ts'

/** PEM files. `cert`: the certificate of this server first, then those of the authorities in between. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

interface Certificate {
  readonly cert: string
  readonly key: string
  readonly validToMs: number
}

export interface CertificateDeps {
  /** Puts it in force for new connections. */
  readonly use: (pair: { readonly cert: string; readonly key: string }) => void
  readonly clock: Clock
  readonly log: Logger
  readonly health: HealthReport
  /** ms between two looks at the files. */
  readonly lookMs: number
}

/** Reads the files and puts the certificate in force; looks at them again until the signal. Rejects with a CollectorError (`config_invalid`) when
 * they cannot be used at the start. Later a new one that cannot be used leaves the old one in force, and health says why. */
export async function startCertificate(
  files: CertificateFiles,
  deps: CertificateDeps,
  signal: AbortSignal,
): Promise<void> {
  const { use, clock, log, health, lookMs } = deps
  let inForce = await readCertificate(files)
  /** What was wrong at the last look. */
  let fault: string | undefined
  let isTold = false
  use(inForce)
  report()

  function report(text?: string): void {
    const isExpired = Number(clock.now() / MS) > inForce.validToMs
    const expired = `The certificate in ${files.cert} expired on ${new Date(inForce.validToMs).toISOString()}; clients refuse it. Renew it.`
    if (text !== undefined) health.set('http', 'warning', 'config_invalid', text)
    else if (isExpired) health.set('http', 'warning', 'config_invalid', expired)
    else health.set('http', 'ok')
  }

  async function look(): Promise<void> {
    let text: string | undefined
    try {
      const found = await readCertificate(files)
      if (found.cert !== inForce.cert || found.key !== inForce.key) {
        use(found)
        inForce = found
        log.info({ validTo: new Date(found.validToMs).toISOString() }, 'certificate replaced')
      }
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      text = `${error.message} Until then the old certificate stays in use.`
    }
    // Two files are never replaced at the same moment, so only what is wrong twice is wrong.
    const isConfirmed = text !== undefined && text === fault
    if (isConfirmed && !isTold) log.error({ code: 'config_invalid' }, text)
    isTold = isConfirmed
    if (text === undefined || isConfirmed) report(text)
    fault = text
  }
  async function watch(): Promise<void> {
    for (;;) {
      await clock.sleep(lookMs, signal)
      await look()
    }
  }
  watch().catch((error: unknown) => {
    if (!signal.aborted) log.error({ err: error }, 'certificate files are not watched any more; restart tailflux')
  })
}

/** Rejects with a CollectorError (`config_invalid`) when the files cannot be used. */
export async function readCertificate({ cert: certFile, key: keyFile }: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([textOf(certFile, 'certificate'), textOf(keyFile, 'key')])
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(cert)
  } catch (cause) {
    throw unusable(`The file ${certFile} holds no certificate; http.tls.cert must be a PEM file.`, cause)
  }
  if (/ENCRYPTED/.test(key))
    throw unusable(`The key in ${keyFile} is encrypted; http.tls.key must be a PEM file without a passphrase.`)
  let isPair: boolean
  try {
    isPair = certificate.checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    throw unusable(`The file ${keyFile} holds no private key; http.tls.key must be a PEM file.`, cause)
  }
  if (!isPair)
    throw unusable(
      `The key in ${keyFile} does not belong to the certificate in ${certFile}; check http.tls, and that the certificate of this server comes first in its file.`,
    )
  try {
    createSecureContext({ cert, key })
  } catch (cause) {
    throw unusable(`The certificate in ${certFile} cannot be used: ${messageOf(cause)}. Replace it.`, cause)
  }
  return { cert, key, validToMs: certificate.validToDate.getTime() }
}

async function textOf(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw unusable(
      `The ${what} in ${path} cannot be read (${systemCode(cause) ?? 'unknown'}); check http.tls, and that tailflux may read the file.`,
      cause,
    )
  }
}

function unusable(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'config_invalid', reaction: 'hold', cause })
}
