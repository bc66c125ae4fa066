import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { createMetrics } from '../../src/observe/metrics.ts'
import { promtool } from '../services/promtool.ts'

const FOLDER = resolve(import.meta.dirname, '../../config/prometheus')
const RULES = resolve(FOLDER, 'tailflux.rules.yml')
const TESTS = resolve(FOLDER, 'tailflux.rules.test.yml')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string; readonly service: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}
const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

test('promtool finds no fault in the rules', async () => {
  const { code, output } = await promtool(['check', 'rules', RULES])
  assert.equal(code, 0, output)
  assert.match(output, new RegExp(`${rules.length} rules found`))
})

test('the unit tests of the rules pass, and there is one that fires for each', async () => {
  const { code, output } = await promtool(['test', 'rules', TESTS])
  assert.equal(code, 0, output)
  const { tests } = parse(readFileSync(TESTS, 'utf8')) as { tests: unknown[] }
  const [quiet, ...loud] = tests.map((one) => JSON.stringify(one))
  for (const { alert } of rules) {
    assert.ok(
      loud.some((text) => text.includes(alert)),
      `no test makes ${alert} fire`,
    )
    assert.ok(quiet!.includes(alert), `${alert} is not tested to be quiet`)
  }
})

test('rules ask only for metrics that the service has', async () => {
  const metrics = createMetrics({ version: 'test', clock: { now: () => 0n } })
  try {
    const text = await metrics.render()
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]))
    for (const { alert, expr } of rules) {
      for (const [name] of expr.matchAll(/\btailflux_\w+/g)) assert.ok(known.has(name), `${alert} asks for ${name}`)
    }
  } finally {
    metrics.stop()
  }
})

test('every rule says what it is about and what to do', () => {
  for (const { alert, labels, annotations } of rules) {
    assert.match(alert, /^Tailflux[A-Z]/)
    assert.match(labels.severity, /^(warning|critical)$/)
    assert.equal(labels.service, 'tailflux')
    assert.ok(annotations.summary.length > 10 && annotations.description.length > 60, alert)
  }
})
