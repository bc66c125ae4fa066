/** Settings of http/: where the status page, metrics and probes listen. */
import { z } from 'zod'
import { secretSchema } from '../secrets/secret.ts'

/** A guessable token on a page with names and traffic would be none. */
const TOKEN_LENGTH_MIN = 8

export const httpSchema = z.strictObject({
  host: z
    .string()
    .regex(/^[0-9A-Za-z.:_-]{1,255}$/, 'must be an address or a host name, such as 127.0.0.1 or 0.0.0.0')
    .default('127.0.0.1')
    .describe('Address to listen on; anything but a loopback address lets others in, so set a token then.'),
  port: z.number().int().min(0).max(65535).default(9464).describe('Port to listen on; 0 takes any free one.'),
  token: secretSchema
    .refine((token) => token.reveal().length >= TOKEN_LENGTH_MIN && /^[\u0021-\u007e]+$/.test(token.reveal()), {
      message: `must have at least ${TOKEN_LENGTH_MIN} characters, none of them a blank; \`openssl rand -hex 24\` makes one`,
    })
    .optional()
    .describe('Bearer token for everything but the probes; needed for POST /api/run.'),
})

export type HttpConfig = z.output<typeof httpSchema>
