/** How exact the rows of the demo are, by look-back; to be run by hand: `node test/rollup/look-back.ts [hours] [nodes] [seed] [minutes...]`. */
import { HOUR, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { judge, pointsByMinute } from './judge.ts'

const [hours = 1, nodes = 50, seed = 1, ...lookBacks] = process.argv.slice(2).map(Number)
const clocks = (['right', 'own', 'record'] as const).find((one) => one === process.env['CLOCKS']) ?? 'own'
const tailnet = createTailnet({ nodes, seed })
const toNs = NOON + BigInt(hours) * HOUR
const minutes = pointsByMinute(tailnet, NOON - HOUR, toNs)
for (const lookBack of lookBacks.length > 0 ? lookBacks : [1, 10, 60]) {
  const { totals, edges, invented } = judge(tailnet, minutes, NOON, toNs, {
    lookBackMinutes: lookBack,
    clocks,
  })
  const within = edges.filter(({ off }) => off <= 0.01).length
  console.log(
    `look-back ${lookBack}: ${((within / edges.length) * 100).toFixed(1)} % of ${edges.length} edge-hours within 1 %`,
  )
  for (const [kind, { truth, rows }] of totals)
    console.log(`  ${kind}: ${truth} bytes, ${((Number(rows - truth) / Number(truth)) * 100).toFixed(3)} %`)
  console.log(`  of no edge: ${invented} bytes`)
  if (process.env['WORST'])
    for (const one of edges.toSorted((a, b) => b.off - a.off).slice(0, Number(process.env['WORST'])))
      console.log(`    ${(one.off * 100).toFixed(1)} % ${one.truth} ${one.rows} ${one.key}`)
}
