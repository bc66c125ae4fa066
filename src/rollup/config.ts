/** Settings of derived rows. */
import { z } from 'zod'

export const edgesSchema = z.strictObject({
  perEndpoint: z
    .number()
    .int()
    .min(10)
    .max(1_000_000)
    .default(2_000)
    .describe('How many edges one endpoint may have on one day (UTC); further ones are summed as `other`.'),
  perDay: z
    .number()
    .int()
    .min(100)
    .max(10_000_000)
    .default(100_000)
    .describe('How many edges the tailnet may have on one day (UTC); further ones are summed as `other`.'),
})
