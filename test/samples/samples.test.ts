/** Flow logs as the world writes them, through the real line: what goes in comes out or is quarantined, to the last byte. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { PORTS } from '../../src/flatten/ports.ts'
import { type Through, throughTheLine } from '../helpers/through-the-line.ts'
import { parseExact } from '../simulator/ranges.ts'
import { truthKey } from '../simulator/truth.ts'
import { addTo, COUNTERS, KINDS, type Sums, sampleOf } from './raw-messages.ts'

const FIELDS = { txBytes: 'tx_bytes', txPkts: 'tx_pkts', rxBytes: 'rx_bytes', rxPkts: 'rx_pkts' } as const

const fixtures = globSync(join(import.meta.dirname, 'fixtures/*'))
/** Samples that others published lie beside the project, not in it; or where TAILFLUX_SAMPLES says. */
const elsewhere = process.env['TAILFLUX_SAMPLES'] ?? join(import.meta.dirname, '../../../*/samples')
const others = globSync([join(elsewhere, '*.{json,ndjson,txt}'), join(elsewhere, 'constructed/*.json')])

for (const file of [...fixtures, ...others].toSorted()) {
  const text = readFileSync(file, 'utf8')
  const sample = sampleOf(text, basename(file))
  if (sample === undefined) {
    if (fixtures.includes(file)) throw new Error(`${file} holds no flow logs`)
    continue
  }
  test(`${basename(file)}: counters in = counters out + set aside, by kind`, () => {
    const taken: Sums = new Map()
    for (const message of sample.messages) addTo(taken, message)
    for (const ports of PORTS) {
      // Whole, and in pieces of a few bytes.
      for (const size of [text.length, 7]) {
        const through = throughTheLine(piecesOf(sample.answer, size), { ports })
        assert.deepEqual(sorted(givenBy(through)), sorted(taken), ports)
        assert.equal(through.messageCount, sample.messages.length)
      }
    }
  })
}

test('samples of others are there', { skip: others.length > 0 ? false : `no files in ${elsewhere}` }, (t) => {
  const without = others.filter((file) => sampleOf(readFileSync(file, 'utf8'), basename(file)) === undefined)
  t.diagnostic(
    `${others.length - without.length} files with flow logs; without: ${without.map((file) => basename(file)).join(' ')}`,
  )
  assert.ok(without.length < others.length)
})
if (others.length === 0) console.warn(`no samples of others in ${elsewhere}: only the fixtures are read`)

test('the fixtures by hand', () => {
  const read = (name: string) => {
    const file = join(import.meta.dirname, 'fixtures', name)
    return throughTheLine([Buffer.from(sampleOf(readFileSync(file, 'utf8'), name)!.answer)])
  }
  const all = read('all-kinds.json')
  assert.deepEqual(sorted(givenBy(all)), {
    ...{ 'exit rxBytes': 21_000n, 'exit rxPkts': 30n, 'exit txBytes': 1128n, 'exit txPkts': 12n },
    ...{ 'physical rxBytes': 25_176n, 'physical rxPkts': 29n, 'physical txBytes': 2324n, 'physical txPkts': 19n },
    ...{ 'subnet rxBytes': 140n, 'subnet rxPkts': 1n, 'subnet txBytes': 70n, 'subnet txPkts': 1n },
    ...{ 'virtual rxBytes': 4208n, 'virtual rxPkts': 6n, 'virtual txBytes': 568n, 'virtual txPkts': 6n },
  })
  assert.deepEqual(all.quarantined, [])
  assert.equal(all.lines.find((line) => line.tags['dst_port'] === '5432')?.fields['flows'], 2n)

  const odd = read('what-cannot-be-taken.json')
  assert.deepEqual(odd.quarantined.map(({ reason, kind }) => `${reason} ${kind ?? 'message'}`).toSorted(), [
    'bad_counter virtual',
    'bad_counter virtual',
    'bad_counter virtual',
    'bad_counter virtual',
    'bad_counter virtual',
    'bad_entry virtual',
    'bad_entry virtual',
    'bad_time message',
    'bad_traffic physical',
    'no_node message',
    'not_an_object message',
  ])
  assert.deepEqual(
    odd.lines.map((line) => [line.tags['node'], line.fields['tx_bytes'], line.fields['rx_bytes']]),
    [
      ['nNullsA11CNTRL', 0n, 0n],
      ['nLargeA11CNTRL', 9_007_199_254_740_993n, 9_223_372_036_854_775_807n],
      ['nTextsA11CNTRL', 31n, 0n],
    ],
  )

  const again = read('split-and-sent-again.json').lines
  assert.equal(again.length, 3)
  assert.equal(new Set(again.map(truthKey)).size, 2, 'two parts, one of them twice')
  assert.equal(read('streamed-without-separators.txt').messageCount, 2)
})

/** What the lines and the quarantined texts hold together. Raw points are all that the line makes. */
function givenBy({ lines, quarantined }: Through): Sums {
  const sums: Sums = new Map()
  for (const line of lines) {
    assert.equal(line.measurement, 'tailnet_flow')
    for (const counter of COUNTERS) {
      const key = `${line.tags['kind']} ${counter}`
      sums.set(key, (sums.get(key) ?? 0n) + line.fields[FIELDS[counter]]!)
    }
  }
  for (const { text, kind } of quarantined) addTo(sums, parseExact(text), kind)
  return sums
}

function sorted(sums: Sums): Record<string, bigint> {
  const names = KINDS.flatMap((kind) => COUNTERS.map((counter) => `${kind} ${counter}`))
  return Object.fromEntries(names.toSorted().flatMap((name) => (sums.get(name) ? [[name, sums.get(name)!]] : [])))
}

function* piecesOf(text: string, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
