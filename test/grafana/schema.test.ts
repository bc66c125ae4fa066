import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { Ajv, type ValidateFunction } from 'ajv'
import { type Panel, readDashboards, readMetricsqlDashboards } from './dashboards.ts'
import { sdkValidator } from './sdk-schema.ts'

let dashboard: ValidateFunction
/** Where the SDK only says "a query": what Grafana's InfluxDB data source takes as the target of an annotation in InfluxQL mode. The names are those
 * of InfluxQuery in github.com/grafana/grafana, public/app/plugins/datasource/influxdb/types.ts. */
const annotationTarget = new Ajv({ allErrors: true }).compile({
  type: 'object',
  additionalProperties: false,
  required: ['refId', 'datasource', 'query', 'rawQuery', 'fromAnnotations', 'textColumn', 'tagsColumn'],
  properties: {
    refId: { type: 'string', minLength: 1 },
    datasource: {
      type: 'object',
      additionalProperties: false,
      required: ['type', 'uid'],
      properties: { type: { const: 'influxdb' }, uid: { type: 'string', minLength: 1 } },
    },
    query: { type: 'string', minLength: 1 },
    rawQuery: { const: true },
    textEditor: { type: 'boolean' },
    // Without it the query would be asked as a panel's.
    fromAnnotations: { const: true },
    titleColumn: { type: 'string' },
    // Empty ones would match every column.
    textColumn: { type: 'string', minLength: 1 },
    tagsColumn: { type: 'string', minLength: 1 },
    timeEndColumn: { type: 'string' },
    name: { type: 'string' },
  },
})
/** Options of each type of panel, and what goes into `fieldConfig.defaults.custom`. */
const panels = new Map<string, { options: ValidateFunction; custom?: ValidateFunction }>()

before(() => {
  dashboard = sdkValidator('dashboard', 'Dashboard')
  panels.set('stat', { options: sdkValidator('stat', 'Options') })
  panels.set('text', { options: sdkValidator('text', 'Options') })
  for (const type of ['timeseries', 'table'])
    panels.set(type, { options: sdkValidator(type, 'Options'), custom: sdkValidator(type, 'FieldConfig') })
})

for (const one of [...readDashboards(), ...readMetricsqlDashboards()]) {
  const { type } = one.annotations.list[0]!.datasource
  test(`${one.title} (${type}) is a classic dashboard by the SDK's types`, () => {
    const { annotations } = one
    // Where the data source reads keys beside the query, the SDK knows none of them.
    const list = annotations.list.map(({ expr, step, titleFormat, textFormat, tagKeys, ...known }) => {
      if (type === 'prometheus') assert.ok(expr && step && titleFormat && textFormat === '' && tagKeys === 'tailnet')
      return known
    })
    assertValid(dashboard, { ...one, annotations: { ...annotations, list } }, one.uid)
    if (type === 'influxdb')
      for (const { name, target } of annotations.list) assertValid(annotationTarget, target, `${one.uid}: ${name}`)
    for (const panel of one.panels.filter(({ type }) => type !== 'row')) {
      const what = `${one.uid} panel ${panel.id}`
      const validators = panels.get(panel.type)
      assert.ok(validators, `${what}: no schema for ${panel.type}`)
      assertValid(validators.options, panel.options, `${what} options`)
      const custom = customOf(panel)
      if (validators.custom === undefined) assert.deepEqual(custom, {}, what)
      else assertPartlyValid(validators.custom, custom, `${what} custom`)
    }
  })
}

test('the schemas refuse what is not a classic dashboard', () => {
  const good = structuredClone(readDashboards()[0]!) as unknown as Record<string, unknown>
  for (const change of [
    { elements: {} },
    { panels: [{ type: 'stat', gridPos: { x: '0', y: 0, w: 1, h: 1 } }] },
    { links: [{ title: 'x' }] },
    { refresh: 5 },
    { graphTooltip: 7 },
  ])
    assert.equal(dashboard({ ...good, ...change }), false, JSON.stringify(change))
  assert.equal(panels.get('stat')!.options({ graphMode: 'loud' }), false)
  const { target } = readDashboards()[0]!.annotations.list[0]!
  for (const change of [{ textColumn: '' }, { fromAnnotations: false }, { timeColumn: 'time' }, { query: 5 }])
    assert.equal(annotationTarget({ ...target, ...change }), false, JSON.stringify(change))
})

/** Defaults and overrides of the panel's own field settings, together. */
function customOf(panel: Panel<unknown>): Record<string, unknown> {
  const defaults = (panel.fieldConfig?.defaults['custom'] ?? {}) as Record<string, unknown>
  const overrides = (panel.fieldConfig?.overrides ?? [])
    .flatMap(({ properties }) => properties)
    .filter(({ id }) => id.startsWith('custom.'))
    .map(({ id, value }) => [id.slice('custom.'.length), value])
  return { ...defaults, ...Object.fromEntries(overrides) }
}

function assertValid(validate: ValidateFunction, value: unknown, what: string): void {
  validate(value)
  assert.deepEqual(validate.errors ?? [], [], what)
}

/** Field settings are laid over Grafana's own defaults, so what is missing is no fault. */
function assertPartlyValid(validate: ValidateFunction, value: unknown, what: string): void {
  validate(value)
  const faults = (validate.errors ?? []).filter(({ keyword }) => keyword !== 'required')
  assert.deepEqual(faults, [], what)
}
