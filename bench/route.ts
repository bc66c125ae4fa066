/** From the bytes of an answer to encoded line protocol, on one core: the line of the service, bare JSON.parse of the same bytes, and the plain
 * route. The routes take turns, so that whatever else the machine does meets them all. */
import { type Child, startChild } from './child.ts'
import { type Input, inputOf, type TailnetName } from './inputs.ts'
import { type GoalResult, type Measured, type Progress, type Row, RUNS } from './report.ts'
import { ROUTES, type RouteName, type RouteRun } from './routes/routes.ts'
import { type Summary, summarize } from './stats.ts'

const INPUT_BYTES = 50e6
/** Machine code is made while the first ones run. */
const WARM_UP_RUNS = 6
const CORE = 1

const NAMES: Readonly<Record<RouteName, string>> = {
  line: 'the line: cut, fold, encode',
  parse: 'bare JSON.parse',
  plain: 'plain: json(), Point, writePoint',
}

interface RouteFigures {
  readonly route: RouteName
  readonly input: Input
  readonly perSecond: Summary
  /** CPU seconds per million entries. */
  readonly cpu: Summary
}

export async function measureRoute(progress: Progress): Promise<Measured> {
  const figures: RouteFigures[] = []
  const names: TailnetName[] = ['small', 'large', 'hostile']
  for (const name of names.flatMap((one) => [one, `${one}, no node info` as TailnetName])) {
    progress(`one core: ${name}`)
    figures.push(...(await measureInput(name)))
  }
  const cpu = (route: RouteName, name: TailnetName) =>
    figures.find((one) => one.route === route && one.input.tailnet === name)!.cpu.median
  const goalResults: GoalResult[] = [
    {
      goal: 'one core, large: entries per CPU second over those of bare JSON.parse',
      figure: cpu('parse', 'large') / cpu('line', 'large'),
      atLeast: 1.2,
    },
    {
      goal: 'one core, large without node info: entries per CPU second over those of bare JSON.parse',
      figure: cpu('parse', 'large, no node info') / cpu('line', 'large, no node info'),
      atLeast: 1,
    },
    {
      goal: 'one core, large: entries per CPU second over those of the plain route',
      figure: cpu('plain', 'large') / cpu('line', 'large'),
      atLeast: 6,
    },
    {
      goal: 'one core: CPU per entry of hostile over large',
      figure: cpu('line', 'hostile') / cpu('line', 'large'),
      atMost: 2,
    },
  ]
  return { rows: figures.map(rowOf), goalResults, figures }
}

async function measureInput(name: TailnetName): Promise<RouteFigures[]> {
  const input = inputOf(name, { bytes: INPUT_BYTES })
  // Without node info the plain route is left out: it is the slowest and takes the same way.
  const routes = ROUTES.filter((route) => route !== 'plain' || !name.includes('no node info'))
  const runs = new Map<RouteName, RouteRun[]>(routes.map((route) => [route, []]))
  const children = new Map<RouteName, Child>()
  try {
    for (const route of routes) {
      const args = [route, input.path, String(input.entries)]
      children.set(route, await startChild('route-child.ts', { args, core: CORE }))
    }
    for (let turn = -WARM_UP_RUNS; turn < RUNS; turn++) {
      for (const route of routes) {
        if (route === 'plain' && turn < -1) continue
        const run = await children.get(route)!.ask<RouteRun>('run')
        if (turn >= 0) runs.get(route)!.push(run)
      }
    }
  } finally {
    for (const child of children.values()) await child.stop()
  }
  return routes.map((route) => ({
    route,
    input,
    perSecond: summarize(runs.get(route)!.map(({ seconds }) => input.entries / seconds)),
    cpu: summarize(runs.get(route)!.map(({ cpuSeconds }) => (cpuSeconds / input.entries) * 1e6)),
  }))
}

function rowOf({ route, input, perSecond, cpu }: RouteFigures): Row {
  const { bytes, entries, messages } = input
  const remark =
    route === 'line'
      ? `${(bytes / entries).toFixed(0)} bytes per entry, ${(entries / messages).toFixed(1)} entries per message`
      : ''
  return { measurement: 'one core', input: input.tailnet, route: NAMES[route], rate: perSecond, cpu, remark }
}
