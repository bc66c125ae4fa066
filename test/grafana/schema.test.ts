import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { ValidateFunction } from 'ajv'
import { type Panel, readDashboards } from './dashboards.ts'
import { sdkValidator } from './sdk-schema.ts'

let dashboard: ValidateFunction
/** Options of each type of panel, and what goes into `fieldConfig.defaults.custom`. */
const panels = new Map<string, { options: ValidateFunction; custom?: ValidateFunction }>()

before(() => {
  dashboard = sdkValidator('dashboard', 'Dashboard')
  panels.set('stat', { options: sdkValidator('stat', 'Options') })
  panels.set('text', { options: sdkValidator('text', 'Options') })
  for (const type of ['timeseries', 'table'])
    panels.set(type, { options: sdkValidator(type, 'Options'), custom: sdkValidator(type, 'FieldConfig') })
})

for (const one of readDashboards()) {
  test(`${one.title} is a classic dashboard by the SDK's types`, () => {
    assertValid(dashboard, one, one.uid)
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
})

/** Defaults and overrides of the panel's own field settings, together. */
function customOf(panel: Panel): Record<string, unknown> {
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
