/** What Grafana does with an exported rule, on a real database: queries, reduce (last), math, threshold. */
import type { Influxd } from '../services/influxd.ts'

export interface Point {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Datum {
  readonly refId: string
  readonly relativeTimeRange: { readonly from: number; readonly to: number }
  // biome-ignore lint/suspicious/noExplicitAny: as in the file
  readonly model: any
}

/** `atNs`: the present, as Grafana and the database see it. */
export async function evaluateRule(
  data: readonly Datum[],
  database: { server: Influxd; db: string },
  atNs: bigint,
): Promise<{ values: Point[]; firing: Point[]; queries: string[] }> {
  const results = new Map<string, Point[]>()
  const queries: string[] = []
  const now = new Date(Number(atNs / 1_000_000n)).toISOString()
  let condition: { values: Point[]; firing: Point[] } | undefined
  for (const { refId, relativeTimeRange, model } of data) {
    if (model.query !== undefined) {
      const at = (secondsAgo: number) => `${atNs / 1_000_000n - BigInt(secondsAgo) * 1000n}ms`
      const filter = `time >= ${at(relativeTimeRange.from)} and time <= ${at(relativeTimeRange.to)}`
      const text = (model.query as string).replaceAll('$timeFilter', filter).replaceAll('now()', `'${now}'`)
      queries.push(text)
      const [answer] = await database.server.query(text, database.db)
      // Only the last value counts for what follows.
      results.set(
        refId,
        (answer?.series ?? []).flatMap(({ tags = {}, values }) => {
          const last = values.at(-1)?.[1]
          return last === null || last === undefined ? [] : [{ labels: tags, value: Number(last) }]
        }),
      )
    } else if (model.type === 'reduce') results.set(refId, results.get(model.expression) ?? [])
    else if (model.type === 'math') results.set(refId, mathOf(model.expression, results))
    else {
      const values = results.get(model.expression) ?? []
      const { type, params } = model.conditions[0].evaluator
      condition = {
        values,
        firing: values.filter(({ value }) => (type === 'gt' ? value > params[0] : value < params[0])),
      }
    }
  }
  if (condition === undefined) throw new Error('a rule without a condition')
  return { ...condition, queries }
}

/** Joins on equal labels; what has no partner is dropped. */
function mathOf(expression: string, results: ReadonlyMap<string, readonly Point[]>): Point[] {
  const key = ({ labels }: Point) => JSON.stringify(Object.entries(labels).toSorted())
  const others = new Map((results.get('D') ?? []).map((point) => [key(point), point.value]))
  const compute = new Function('C', 'D', `return ${expression.replaceAll('$', '')}`) as (c: number, d: number) => number
  return (results.get('C') ?? []).flatMap((point) => {
    const other = others.get(key(point))
    return other === undefined ? [] : [{ labels: point.labels, value: compute(point.value, other) }]
  })
}
