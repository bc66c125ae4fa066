/** Whom to trust. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { CollectorError } from '../base/errors.ts'
import { codeOf } from './error-codes.ts'

/** Node's own roots and those of `caFile`. Made once per agent: reading all roots for each connection takes long. */
export async function trustWith(caFile: string): Promise<SecureContext> {
  try {
    const pem = await readFile(caFile, 'utf8')
    const own = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    for (const one of own) new X509Certificate(one)
    if (own.length > 0) return createSecureContext({ ca: [...getCACertificates('default'), ...own] })
  } catch (cause) {
    const code = codeOf(cause)
    throw badFile(
      `The certificate authorities in ${caFile} cannot be read${code && ` (${code})`}; check caFile.`,
      cause,
    )
  }
  throw badFile(`The file ${caFile} holds no certificate; caFile must be a PEM file.`)
}

function badFile(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'config_invalid', reaction: 'hold', cause })
}
