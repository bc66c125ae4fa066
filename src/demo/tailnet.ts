/** demo/: a simulated tailnet. Its history is a pure function of seed and size: every time range can be read, in any order, and always gives
 * the same messages. */
import { deviceTexts, nameAt } from './devices.ts'
import { createLinks } from './links.ts'
import { createMessageWriter } from './messages.ts'
import { createNodes } from './nodes.ts'
import { createPresence } from './presence.ts'
import { createRecords } from './records.ts'
import { createTimes } from './times.ts'
import { createTraffic } from './traffic.ts'

export interface DemoTailnet {
  /** The JSON texts of the messages with `logged` from `fromNs` to `toNs`, both inclusive, in that order. */
  messages(fromNs: bigint, toNs: bigint): Iterable<string>
  /** The JSON texts of the device list at a time. */
  devices(atNs: bigint): Iterable<string>
}

export interface DemoTailnetOptions {
  readonly seed: number
  /** Number of nodes. */
  readonly nodes: number
}

export function createDemoTailnet({ seed, nodes: count }: DemoTailnetOptions): DemoTailnet {
  const nodes = createNodes(seed, count)
  const presence = createPresence(seed, nodes)
  const traffic = createTraffic(seed, nodes, createLinks(seed, nodes), presence)
  const records = createRecords(nodes, traffic, createTimes(seed, nodes), presence)
  const messageText = createMessageWriter(nameAt)
  return {
    *messages(fromNs, toNs) {
      for (const record of records(fromNs, toNs)) yield messageText(record)
    },
    devices: (atNs) => deviceTexts(nodes, nameAt, presence, atNs),
  }
}
