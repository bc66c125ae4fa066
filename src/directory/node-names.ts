/** Names of nodes as they are known now, for alerts and the live view. */
export interface NodeNames {
  /** Id of the node that has this address. */
  nodeOf(address: string): string | undefined
  /** The short name of the device with this address or id, with `privacy.names` applied. */
  nameOf(addressOrId: string): string | undefined
}

/** No names are known, as for `replay`. */
export const NO_NODE_NAMES: NodeNames = { nodeOf: () => undefined, nameOf: () => undefined }
