/** Networks that the settings name: an address that no node has is shown by the name of the smallest network that holds it. */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'

export interface Network {
  readonly name: string
  /** All addresses of it are one endpoint with this name. */
  readonly isFolded: boolean
}

const cidr = z.string().refine((text) => ipaddr.isValidCIDR(text), {
  error: (issue) => `${JSON.stringify(issue.input)} is no network: write it as 10.20.0.0/16 or fd00:20::/32`,
})

export const networksSchema = z
  .array(
    z.strictObject({
      cidr: cidr.describe('The network, as 10.20.0.0/16.'),
      name: z.string().min(1).max(100).describe('What it is called on dashboards and in alerts.'),
      fold: z
        .boolean()
        .default(false)
        .describe('Count all addresses of the network as one endpoint, which saves series.'),
    }),
  )
  .default([])
  .describe(
    'Names for networks behind subnet routers and beyond exit nodes. The smallest network that holds an address names it.',
  )

export type NetworksConfig = z.infer<typeof networksSchema>

/** The network of an address; undefined when none holds it, or when it is no address. */
export function createNetworks(config: NetworksConfig): (address: string) => Network | undefined {
  const networks = config
    .map(({ cidr, name, fold }) => ({ range: ipaddr.parseCIDR(cidr), network: { name, isFolded: fold } }))
    .toSorted((one, other) => other.range[1] - one.range[1])
  return (address) => {
    if (networks.length === 0 || !ipaddr.isValid(address)) return undefined
    const parsed = ipaddr.process(address)
    return networks.find(({ range }) => range[0].kind() === parsed.kind() && parsed.match(range))?.network
  }
}
