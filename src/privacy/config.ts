/** Settings of privacy: which names and addresses are written and shown. */
import { z } from 'zod'
import { secretSchema } from '../secrets/secret.ts'

/** Its fingerprint stands in the database, so it must not be a word. */
const KEY_LENGTH_MIN = 32

export const privacySchema = z
  .strictObject({
    names: z
      .enum(['keep', 'hash', 'drop'])
      .default('keep')
      .describe(
        'Names of devices and users: keep; hash: `name-` and 12 digits, the same for the same name; drop: only ids and addresses. A change counts for records that start more than an hour later.',
      ),
    externalAddresses: z
      .enum(['keep', 'truncate', 'hash', 'drop'])
      .default('keep')
      .describe(
        'Public addresses: keep; truncate to the network (IPv4 /24, IPv6 /48); hash: `ext-` and 12 digits; drop: all are `external`. A change counts for records that start more than an hour later.',
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
  .superRefine(({ names, externalAddresses, ...keys }, context) => {
    const fault = (path: keyof typeof keys, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if ((names === 'hash' || externalAddresses === 'hash') && keys.key === undefined)
      fault(
        'key',
        'is required where something is hashed, on every machine the same; to make one, run: openssl rand -hex 32 (that of version 0.1.0 is in its state file: tailflux ledger privacy-key)',
      )
    for (const name of ['key', 'formerKey'] as const) {
      const length = keys[name]?.reveal().length ?? KEY_LENGTH_MIN
      if (length < KEY_LENGTH_MIN)
        fault(
          name,
          `has ${length} characters and could be guessed; it needs at least ${KEY_LENGTH_MIN}: openssl rand -hex 32 makes 64`,
        )
    }
  })

export type PrivacyConfig = z.output<typeof privacySchema>
