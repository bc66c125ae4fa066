/** Settings of privacy: which names and addresses are written and shown. */
import { z } from 'zod'
import { secretSchema } from '../secrets/secret.ts'

export const privacySchema = z.strictObject({
  names: z
    .enum(['keep', 'hash', 'drop'])
    .default('keep')
    .describe(
      'Names of devices and users: keep; hash: `name-` and 12 digits, the same for the same name; drop: only ids and addresses. A change starts new series.',
    ),
  externalAddresses: z
    .enum(['keep', 'truncate', 'hash', 'drop'])
    .default('keep')
    .describe(
      'Public addresses: keep; truncate to the network (IPv4 /24, IPv6 /48); hash: `ext-` and 12 digits; drop: all are `external`. A change starts new series.',
    ),
  key: secretSchema
    .optional()
    .describe(
      'Secret key of the hashes, needed where something is hashed: the same on every machine, and kept safe. Make one with `openssl rand -hex 32`.',
    ),
  formerKey: secretSchema
    .optional()
    .describe(
      'The key before privacy.key was changed; keep it for 62 days, so that what is read again gets the hashes that it had.',
    ),
})

export type PrivacyConfig = z.output<typeof privacySchema>
