/** `tailflux healthcheck`: a probe for containers without curl. */
import { Command, InvalidArgumentError } from 'commander'
import { CollectorError, messageOf } from '../base/errors.ts'
import type { Settings } from '../config/settings.ts'
import { ask } from '../http-client/ask.ts'
import { codeOf, isTlsFault } from '../http-client/error-codes.ts'
import { load } from './settings.ts'

const TIMEOUT_MS = 4_000
/** Of what is shown. */
const BODY_BYTES_MAX = 512

export function healthcheckCommand(): Command {
  return new Command('healthcheck')
    .description('Check whether the service on this machine is ready; exit code 0 if it is, 1 otherwise.')
    .option(
      '--strict',
      'also not ready while a component is in error; a temporary failure becomes an error after five minutes',
    )
    .option('--url <url>', 'address of the service, if not the configured one', urlArgument)
    .action(async (options: { strict?: boolean; url?: string }, command: Command) => {
      const isThisMachine = options.url === undefined
      const url = options.url ?? addressOf(load(command, { withoutCredentials: true }).settings)
      const answer = await askReady(`${url}/readyz${options.strict ? '?strict=1' : ''}`, isThisMachine)
      process.stdout.write(`${answer.body}\n`)
      if (!answer.isGood) process.exitCode = 1
    })
}

/** Where a service with these settings is reached from this machine. */
export function addressOf({ http }: Pick<Settings, 'http'>): string {
  if (http.port === 0) {
    throw new CollectorError('http.port is 0, so the address of the service is not known; pass --url.', {
      stage: 'config',
      code: 'config_invalid',
      reaction: 'hold',
    })
  }
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host === '::' ? '::1' : http.host
  return `${http.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${http.port}`
}

/** The value of `--url`, without a slash at its end. */
export function urlArgument(text: string): string {
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '')
    return text.replace(/\/+$/, '')
  throw new InvalidArgumentError('It must be an address such as http://127.0.0.1:9464.')
}

/** What to do about a certificate that is not trusted. */
export const UNTRUSTED =
  'Its certificate is not trusted: set NODE_EXTRA_CA_CERTS to the file of its authority, or use a name that is in it.'

async function askReady(url: string, isThisMachine: boolean): Promise<{ isGood: boolean; body: string }> {
  try {
    const answer = await ask({ url, isThisMachine }, AbortSignal.timeout(TIMEOUT_MS))
    const { text } = await answer.text(BODY_BYTES_MAX)
    const isGood = answer.status >= 200 && answer.status < 300
    return { isGood, body: text === '' ? `It answered ${answer.status}.` : text }
  } catch (cause) {
    if (cause instanceof CollectorError) throw cause
    const remedy = isTlsFault(codeOf(cause))
      ? UNTRUSTED
      : 'Check that tailflux is running and listens there, or pass --url.'
    throw new CollectorError(`${url} does not answer (${messageOf(cause)}). ${remedy}`, {
      stage: 'config',
      code: 'service_unreachable',
      reaction: 'retry',
      cause,
    })
  }
}
