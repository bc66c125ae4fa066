/** Names of nodes as they are known now. */
export interface NodeNames {
  /** Id of the node that has this address. */
  nodeOf(address: string): string | undefined
  /** The short name of the device with this address or id, with `privacy.names` applied. */
  nameOf(addressOrId: string): string | undefined
}
