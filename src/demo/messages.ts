/** Records as the API writes them: the same order of members, no members that are zero, times without trailing zeros. */

import type { DemoEntry } from './entries.ts'
import type { DemoNode } from './nodes.ts'
import type { DemoRecord } from './records.ts'

/** The JSON text of a node while it had this name. */
interface CachedText {
  readonly name: string
  readonly text: string
}

/** Maximum number of cached texts of seconds. */
const SECONDS_KEPT = 128
const ZERO = 0x30
const LISTS = [',"virtualTraffic":[', ',"subnetTraffic":[', ',"exitTraffic":[', ',"physicalTraffic":[']

/** Writes RFC 3339 with 0 to 9 fraction digits, as Go does. Caches the text of whole seconds, because neighbouring records share them. */
function createTimeWriter(): (ns: bigint) => string {
  const kept = new Map<number, string>()

  function secondText(seconds: number): string {
    let text = kept.get(seconds)
    if (text === undefined) {
      text = new Date(seconds * 1000).toISOString().slice(0, 19)
      if (kept.size >= SECONDS_KEPT) kept.clear()
      kept.set(seconds, text)
    }
    return text
  }

  return (ns) => {
    const seconds = Number(ns / 1_000_000_000n)
    const rest = Number(ns - BigInt(seconds) * 1_000_000_000n)
    if (rest === 0) return `${secondText(seconds)}Z`
    // The leading 1 keeps the zeros in front.
    const digits = String(1_000_000_000 + rest)
    let end = digits.length
    while (digits.charCodeAt(end - 1) === ZERO) end -= 1
    return `${secondText(seconds)}.${digits.slice(1, end)}Z`
  }
}

/** The first label of a node's name at this time. */
export type NameOf = (node: DemoNode, atNs: bigint) => string

/** Returns a function that writes the JSON text of one message. */
export function createMessageWriter(nameOf: NameOf): (record: DemoRecord) => string {
  const srcNodes: CachedText[] = []
  const dstNodes: CachedText[] = []
  const timeText = createTimeWriter()

  /** The real API sends `os` in dstNodes only, and not in all of them. */
  function nodeText(cache: CachedText[], node: DemoNode, atNs: bigint, withOs: boolean): string {
    const name = nameOf(node, atNs)
    const cached = cache[node.index]
    if (cached?.name === name) return cached.text
    const text = JSON.stringify({
      nodeId: node.nodeId,
      name: `${name}.${node.domain}`,
      addresses: [node.v4.text, node.v6.text],
      ...(withOs ? { os: node.os } : {}),
      ...(node.user === undefined ? {} : { user: node.user }),
      ...(node.tags === undefined ? {} : { tags: node.tags }),
    })
    cache[node.index] = { name, text }
    return text
  }

  return (record) => {
    const { node, entries, dstNodes: others, startNs } = record
    let text = `{"logged":"${timeText(record.loggedNs)}","nodeId":"${node.nodeId}","start":"${timeText(startNs)}","end":"${timeText(record.endNs)}"`
    if (others !== undefined) {
      text += `,"srcNode":${nodeText(srcNodes, node, startNs, false)}`
      if (others.length > 0) {
        text += ',"dstNodes":['
        for (let i = 0; i < others.length; i++) {
          const other = others[i]!
          if (i > 0) text += ','
          text += nodeText(dstNodes, other, startNs, other.index % 5 !== 0)
        }
        text += ']'
      }
    }
    for (let kind = 0; kind < LISTS.length; kind++) {
      const list = entries[kind]!
      if (list.length === 0) continue
      text += LISTS[kind]
      for (let i = 0; i < list.length; i++) text += i === 0 ? entryText(list[i]!) : `,${entryText(list[i]!)}`
      text += ']'
    }
    return `${text}}`
  }
}

/** Members that are zero are left out. */
function entryText(entry: DemoEntry): string {
  const { proto, src, srcPort, dst, dstPort, txPkts, txBytes, rxPkts, rxBytes } = entry
  let text = ''
  if (proto !== 0) text = typeof proto === 'number' ? `,"proto":${proto}` : `,"proto":${JSON.stringify(proto)}`
  if (src !== undefined) text += srcPort < 0 ? `,"src":"${src.open}"` : `,"src":"${src.open}${srcPort}"`
  if (dst !== undefined) text += dstPort < 0 ? `,"dst":"${dst.open}"` : `,"dst":"${dst.open}${dstPort}"`
  if (txPkts !== 0) text += `,"txPkts":${txPkts}`
  if (txBytes !== 0) text += `,"txBytes":${txBytes}`
  if (rxPkts !== 0) text += `,"rxPkts":${rxPkts}`
  if (rxBytes !== 0) text += `,"rxBytes":${rxBytes}`
  return `{${text.slice(1)}}`
}
