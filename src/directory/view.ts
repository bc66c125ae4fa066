import type { Network } from './networks.ts'

/** The directory as of one minute. The same minute always gets the same answers, wherever its points come from. */
export interface DirectoryView {
  /** Id of the node that has this address; undefined when the directory does not know it. */
  nodeOf(address: string): string | undefined
  /** What is known about a node, with `privacy.names` applied. */
  device(node: string): DeviceLabels | undefined
  /** The network of the settings with the longest prefix that holds this address. */
  networkOf(address: string): Network | undefined
}

interface DeviceLabels {
  readonly name: string
  /** Its tags in order, joined by commas, or else its user. */
  readonly owner: string
  readonly os: string
}
