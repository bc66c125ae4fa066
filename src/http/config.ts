/** Settings of http/: where the status page, metrics and probes listen. */
import { z } from 'zod'
import { secretSchema } from '../secrets/secret.ts'

/** A token that can be guessed does not protect names and traffic. */
const TOKEN_LENGTH_MIN = 8

const file = z.string().min(1).max(4096)

export const httpSchema = z.strictObject({
  host: z
    .string()
    .regex(/^[0-9A-Za-z.:_-]{1,255}$/, 'must be an address or a host name, such as 127.0.0.1 or 0.0.0.0')
    .default('127.0.0.1')
    .describe(
      'Address to listen on; other machines can connect unless it is a loopback address, so set a token as well.',
    ),
  port: z.number().int().min(0).max(65535).default(9464).describe('Port to listen on; 0 picks any free port.'),
  token: secretSchema
    .refine((token) => token.reveal().length >= TOKEN_LENGTH_MIN && /^[\u0021-\u007e]+$/.test(token.reveal()), {
      message: `must have at least ${TOKEN_LENGTH_MIN} characters and no spaces; \`openssl rand -hex 24\` generates one`,
    })
    .optional()
    .describe('Bearer token for everything except the probes; required for POST /api/run.'),
  tls: z
    .strictObject(
      {
        cert: file.describe('PEM file with the certificate of this server, then those of the authorities in between.'),
        key: file.describe('PEM file with its private key, without a passphrase.'),
      },
      'must have two files, as in {cert: tls.crt, key: tls.key}',
    )
    .optional()
    .meta({ kind: 'list' })
    .describe(
      'Answer by https instead of http: `{cert: tls.crt, key: tls.key}`, PEM files that are read again when they change.',
    ),
})

export type HttpConfig = z.output<typeof httpSchema>
