/** A node that a message describes. With node info these are a third of the bytes of an answer, and nearly all of them were there before: a node is
 * described by the same bytes every five seconds, by itself and by all that talk to it. So bytes that were read once are only compared. */
import { areWordsOf, HASH_SEED, hashStep, putWords } from '../../base/hash.ts'
import type { CompactInput } from './compact-input.ts'
import type { NodeInfo } from './message.ts'
import { isItsTurn, textOf } from './text.ts'

/** Descriptions that are remembered: several of one node, which begin alike, have a group of places. */
const GROUPS = 16_384
const WAYS = 4
/** Longer ones are read each time. */
const BYTES_MAX = 1_024
/** The first bytes tell nodes apart: they begin with the id. They are read whatever they hold. */
const HASHED_BYTES = 32

const OPEN_OBJECT = 0x7b

interface Remembered {
  readonly info: NodeInfo
  readonly length: number
  readonly words: Int32Array
  /** The last four bytes. */
  readonly last: number
}

/** Reads the node at this position and appends it to the columns. Returns the position after it, or the same one when it is no JSON object, or not yet
 * there to its end. */
export type NodeReader = (input: CompactInput, first: number) => number

export function createNodeReader(): NodeReader {
  const places: (Remembered | undefined)[] = new Array(GROUPS * WAYS).fill(undefined)
  let misses = 0

  function remember(group: number, { view }: CompactInput, first: number, length: number, info: NodeInfo): void {
    if (length > BYTES_MAX) return
    const words = new Int32Array((length >> 2) + 1)
    putWords(words, 0, view, first, length)
    let way = 0
    while (way < WAYS && places[group + way] !== undefined) way += 1
    // All are taken: now and then one of them goes, so that what is no longer used goes, and what is used stays.
    if (way === WAYS) {
      if (!isItsTurn(misses++)) return
      way = (misses >> 3) % WAYS
    }
    places[group + way] = { info, length, words, last: view.getInt32(first + length - 4, true) }
  }

  function find(group: number, view: DataView, first: number, end: number): Remembered | undefined {
    for (let way = 0; way < WAYS; way += 1) {
      const one = places[group + way]
      if (one === undefined) return undefined
      // The last bytes differ first: the descriptions of one node begin alike.
      if (first + one.length > end || view.getInt32(first + one.length - 4, true) !== one.last) continue
      if (areWordsOf(one.words, 0, view, first, one.length)) return one
    }
    return undefined
  }

  return (input, first) => {
    const { bytes, view, end, columns } = input
    if (bytes[first] !== OPEN_OBJECT) return first
    let hash = HASH_SEED
    for (let at = 0; at < HASHED_BYTES; at += 4) hash = hashStep(hash, view.getInt32(first + at, true))
    const group = ((hash >>> 3) & (GROUPS - 1)) * WAYS
    const known = find(group, view, first, end)
    if (known !== undefined) {
      columns.nodes[columns.nodeCount++] = known.info
      return first + known.length
    }
    const stop = input.scanner.endOf(bytes, view, first, end, input.memberDepthMax + 1)
    if (stop < 0) return first
    const info = nodeInfoOf(JSON.parse(textOf(bytes, first, stop)))
    columns.nodes[columns.nodeCount++] = info
    remember(group, input, first, stop - first, info)
    return stop
  }
}

/** The node of a JSON object. */
export function nodeInfoOf(value: Record<string, unknown>): NodeInfo {
  const text = (key: string) => (Object.hasOwn(value, key) && typeof value[key] === 'string' ? value[key] : '')
  const texts = (key: string) => {
    const list = Object.hasOwn(value, key) ? value[key] : undefined
    return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []
  }
  return {
    id: text('nodeId'),
    name: text('name'),
    user: text('user'),
    tags: texts('tags'),
    os: text('os'),
    addresses: texts('addresses'),
    selfRound: 0,
    peerRound: 0,
  }
}
