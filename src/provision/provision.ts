/** provision/: makes what tailflux needs in its database: the database or bucket, places with their retention, mappings for InfluxQL, the order of tags, a token
 * for Grafana. A plan is made by reading, its steps are applied, and then it is made again: what an applied step shows is planned next (a bucket that was made,
 * say, may or may not be mapped by the server itself). Running it twice changes nothing. */
import { CollectorError } from '../base/errors.ts'
import type { InfluxConfig, Retention } from '../sink/config.ts'
import { createPlaces } from '../sink/influxdb/places.ts'
import { apiFor, faultsFor, type Greeting, greet } from '../sink/influxdb/server.ts'
import { planInflux1 } from './influx1.ts'
import { planInflux2 } from './influx2.ts'
import { isCore, planInflux3 } from './influx3.ts'
import { type Item, left, type Planner, right, type Step } from './plan.ts'
import { planReadToken } from './read-token.ts'
import type { ProvisionDeps } from './refusal.ts'

export interface ProvisionConfig extends InfluxConfig {
  readonly url: string
  readonly retention: Retention
}

export interface ProvisionOptions {
  /** A place may keep points for a shorter time than now, which removes older ones. */
  readonly mayShorten: boolean
  /** 2.x: where the token for Grafana is kept; undefined: none is made. */
  readonly tokenFile: string | undefined
}

export interface Provisioned {
  readonly greeting: Greeting
  /** In order; with `isDry` the steps that would be applied. */
  readonly steps: readonly Step[]
  /** What was there and right before, and what is not right afterwards. */
  readonly items: readonly Item[]
  /** The step that failed, why, and those after it, which were not tried. */
  readonly failure: { readonly step: Step; readonly error: CollectorError; readonly rest: readonly Step[] } | undefined
}

const ROUNDS_MAX = 3

/** Rejects with a CollectorError when the server cannot be read. */
export async function provision(
  config: ProvisionConfig,
  options: ProvisionOptions & { readonly isDry: boolean },
  deps: ProvisionDeps & { readonly clock: Parameters<typeof greet>[0]['clock'] },
  signal: AbortSignal,
): Promise<Provisioned> {
  const greeting = await greet(deps, signal)
  const plan = plannerFor(config, greeting, options, deps)
  const steps: Step[] = []
  let there: readonly Item[] | undefined
  for (let round = 1; ; round++) {
    const found = await plan(signal)
    // What was made in a round before is a step already.
    there ??= found.filter(({ kind }) => kind === 'right')
    const items = [...there, ...found.filter(({ kind }) => kind === 'left')]
    const open = found.filter((item) => item.kind === 'step')
    if (options.isDry) return { greeting, steps: open, items, failure: undefined }
    if (open.length === 0) return { greeting, steps, items, failure: undefined }
    if (round > ROUNDS_MAX) throw unstable(deps.label, open)
    for (const [index, step] of open.entries()) {
      try {
        await step.apply(signal)
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        return { greeting, steps, items, failure: { step, error, rest: open.slice(index + 1) } }
      }
      steps.push(step)
    }
  }
}

function unstable(label: string, open: readonly Step[]): CollectorError {
  return new CollectorError(
    `${label} acknowledged every change, and still lacks: ${open.map(({ text }) => text).join('; ')}. Check that INFLUX_URL leads to one server only.`,
    { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' },
  )
}

function plannerFor(
  config: ProvisionConfig,
  greeting: Greeting,
  { mayShorten, tokenFile }: ProvisionOptions,
  deps: ProvisionDeps,
): Planner {
  const { product } = greeting
  if (product === 'victoria-metrics') return async () => victoriaMetrics(config.retention)
  const api = product === 'unknown' ? (config.api ?? apiFor(greeting)) : product
  const fail = (text: string) =>
    new CollectorError(`${deps.label} ${text}`, { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' })
  if (api === undefined) {
    throw fail(
      `does not say which InfluxDB it is (it answered ${greeting.answered}). Check that INFLUX_URL is the address of the database itself.`,
    )
  }
  if (config.api !== undefined && config.api !== api)
    throw fail(
      `is InfluxDB ${greeting.version}, and INFLUX_API is ${config.api}. Set INFLUX_API=${api}, or leave it out.`,
    )
  const [fault] = faultsFor(config, api)
  if (fault !== undefined) throw fail(`is InfluxDB ${greeting.version ?? api}, and ${fault}.`)
  const places = createPlaces({ ...config, api })
  if (api === 'v1') return withoutToken(planInflux1(places, { ...deps, mayShorten }), tokenFile)
  if (api === 'v3') return withoutToken(planInflux3(places, { mayShorten, isCore: isCore(greeting) }, deps), tokenFile)
  const { org } = config
  const plan = planInflux2(places, { org, mayShorten }, deps)
  if (tokenFile === undefined) return plan
  const planToken = planReadToken(places, { file: tokenFile, org }, deps)
  return async (signal) => {
    const items = await plan(signal)
    return items.some((item) => item.kind === 'left' && item.isError) ? items : [...items, ...(await planToken(signal))]
  }
}

/** Tokens with rights of their own are made for 2.x only. */
function withoutToken(plan: Planner, tokenFile: string | undefined): Planner {
  if (tokenFile === undefined) return plan
  const why = 'No token for Grafana is made: that is for 2.x.'
  const fix = 'Leave out --grafana-token. On 1.x create a user who may read; all tokens of 3 Core are administrators.'
  return async (signal) => [...(await plan(signal)), left(why, fix)]
}

function victoriaMetrics(retention: Retention): readonly Item[] {
  const set = Object.entries(retention).flatMap(([key, ms]) => (ms === undefined ? [] : [`retention.${key}`]))
  const made = right(
    'VictoriaMetrics makes what it needs with the first point. How long it keeps points is its flag -retentionPeriod.',
  )
  if (set.length === 0) return [made]
  return [
    made,
    left(`It has one retention for everything, so ${set.join(', ')} does nothing.`, `Leave out ${set.join(', ')}.`),
  ]
}
