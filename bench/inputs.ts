/** Answers of a simulated tailnet with a fixed seed, as files. They are made again only when the code of the simulation changes. */
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TailnetOptions } from '../test/simulator/options.ts'
import { createTailnet, type Tailnet } from '../test/simulator/tailnet.ts'

export const BENCH_DIR = resolve(import.meta.dirname, '../.cache/bench')
const INPUTS_DIR = join(BENCH_DIR, 'inputs')
const SIMULATION_DIRS = ['../src/demo', '../test/simulator'].map((path) => resolve(import.meta.dirname, path))

/** A Tuesday, 09:00 UTC: people are at work in half of the zones. */
export const FROM_NS = 1_790_067_600_000_000_000n

/** Every scanner's record has a thousand tuples that were never there before. */
const SCAN = { nodes: 4, tuples: 1000 }

const TAILNETS = {
  small: { nodes: 26 },
  'small, no node info': { nodes: 26, nodeInfo: false },
  large: { nodes: 5000 },
  'large, no node info': { nodes: 5000, nodeInfo: false },
  hostile: { nodes: 26, scan: SCAN },
  'hostile, no node info': { nodes: 26, scan: SCAN, nodeInfo: false },
  medium: { nodes: 1000 },
} as const satisfies Record<string, TailnetOptions>
export type TailnetName = keyof typeof TAILNETS

export interface Input {
  readonly path: string
  readonly tailnet: TailnetName
  readonly bytes: number
  readonly messages: number
  readonly entries: number
  /** End of the time range, ns; the next input may begin here. */
  readonly endNs: bigint
}

export function tailnetOf(name: TailnetName): Tailnet {
  return createTailnet({ seed: 4, ...TAILNETS[name] })
}

/** One answer of about `bytes` (or as many entries), beginning at `fromNs`. */
export function inputOf(
  name: TailnetName,
  most: { bytes?: number; entries?: number },
  fromNs: bigint = FROM_NS,
): Input {
  mkdirSync(INPUTS_DIR, { recursive: true })
  const key = JSON.stringify([simulationVersion(), name, TAILNETS[name], most, String(fromNs)])
  const base = `${name.replaceAll(/[^a-z]+/g, '-')}-${createHash('sha256').update(key).digest('hex').slice(0, 12)}`
  const found = readdirSync(INPUTS_DIR).find((file) => file.startsWith(`${base}-`) && file.endsWith('.json'))
  if (found !== undefined) return describe(found, name)

  const path = join(INPUTS_DIR, `${base}.part`)
  const fd = openSync(path, 'w')
  const counts = { bytes: 0, messages: 0, entries: 0 }
  let text = '{"logs":['
  let endNs = fromNs
  const flush = () => {
    counts.bytes += writeAll(fd, Buffer.from(text))
    text = ''
  }
  const tailnet = tailnetOf(name)
  for (const [message, entries, loggedNs] of messagesOf(tailnet, fromNs)) {
    if (counts.bytes + text.length >= (most.bytes ?? Number.POSITIVE_INFINITY)) break
    if (counts.entries >= (most.entries ?? Number.POSITIVE_INFINITY)) break
    text += counts.messages === 0 ? message : `,${message}`
    counts.messages += 1
    counts.entries += entries
    endNs = loggedNs
    if (text.length > 1 << 20) flush()
  }
  text += ']}\n'
  flush()
  closeSync(fd)
  const file = `${base}-${counts.bytes}-${counts.messages}-${counts.entries}-${endNs + 1n}.json`
  renameSync(path, join(INPUTS_DIR, file))
  return describe(file, name)
}

const HOUR_NS = 3_600_000_000_000n

/** Text, entries and `logged` of each message. */
function* messagesOf(tailnet: Tailnet, fromNs: bigint): Generator<[string, number, bigint]> {
  for (let begin = fromNs; ; begin += HOUR_NS) {
    for (const record of tailnet.records(begin, begin + HOUR_NS - 1n)) {
      const entries = record.entries.reduce((sum, list) => sum + list.length, 0)
      yield [tailnet.messageText(record), entries, record.loggedNs]
    }
  }
}

function writeAll(file: number, bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
  return bytes.length
}

function describe(file: string, tailnet: TailnetName): Input {
  const [bytes, messages, entries, endNs] = file.replace('.json', '').split('-').slice(-4)
  return {
    path: join(INPUTS_DIR, file),
    tailnet,
    bytes: Number(bytes),
    messages: Number(messages),
    entries: Number(entries),
    endNs: BigInt(endNs!),
  }
}

let version: string | undefined
/** A hash of the code that decides what an input holds. */
function simulationVersion(): string {
  if (version === undefined) {
    const hash = createHash('sha256')
    for (const dir of SIMULATION_DIRS) {
      for (const file of readdirSync(dir).sort())
        if (!file.endsWith('.test.ts')) hash.update(readFileSync(join(dir, file)))
    }
    version = hash.digest('hex')
  }
  return version
}
