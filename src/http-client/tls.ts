/** Whom to trust, and what a failed connection means for the operator. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { CollectorError } from '../base/errors.ts'

/** Node's own roots and those of `caFile`. Made once per agent: reading all roots for each connection would be dear. */
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

/** The code of a system, TLS or parser error; empty when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
])

export function isTlsFault(code: string): boolean {
  return UNTRUSTED.has(code) || code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_')
}

/** What to do about a connection that failed with this code. */
export function remedyOf(code: string): string {
  if (UNTRUSTED.has(code)) {
    return 'its certificate is of an authority that is not trusted; if a proxy in your network signs anew, name its authority in caFile'
  }
  if (code === 'CERT_HAS_EXPIRED')
    return 'its certificate has expired, or the clock of this machine is wrong; check both'
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet; check the clock of this machine'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'its certificate is for another host; check the API URL and what stands in between'
  if (code === 'EPROTO' || code === 'HPE_INVALID_CONSTANT' || code.startsWith('ERR_SSL_')) {
    return 'the two sides do not speak the same protocol; check whether the API URL must begin with http or https'
  }
  if (code.startsWith('HPE_'))
    return 'what it sends is not HTTP as it should be; look for a proxy in between, and check the API URL'
  if (code === 'ENOTFOUND') return 'the host name is not known; check the API URL and DNS'
  if (code === 'EAI_AGAIN') return 'DNS does not answer; check the DNS settings of this machine or container'
  if (code === 'ECONNREFUSED') return 'nothing listens there; check the API URL and the firewall'
  if (code === 'ENETUNREACH' || code === 'EHOSTUNREACH' || code === 'ETIMEDOUT')
    return 'there is no way to it; check the network and the firewall'
  return 'check the network, and a proxy or firewall in between'
}
