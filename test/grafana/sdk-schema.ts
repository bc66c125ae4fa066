/** JSON schemas of Grafana's classic dashboards, made from the types that the SDK ships: what is not in the types is refused. */
import { resolve } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { createGenerator } from 'ts-json-schema-generator'

const SDK = resolve(import.meta.dirname, '../../node_modules/@grafana/grafana-foundation-sdk/dist')

/** `component` is a folder of the SDK: dashboard, stat, timeseries, table, text. */
export function sdkValidator(component: string, type: string): ValidateFunction {
  const generator = createGenerator({
    path: `${SDK}/${component}/types.gen.d.ts`,
    type,
    // Without the global types of other packages, which have an `Options` too.
    tsconfig: resolve(import.meta.dirname, 'tsconfig.sdk.json'),
    skipTypeCheck: true,
    additionalProperties: false,
    // A query is whatever its data source understands: the SDK knows only a mark on it.
    functions: 'hide',
  })
  const schema = generator.createSchema(type) as { definitions: Record<string, unknown> }
  for (const name of Object.keys(schema.definitions)) {
    if (name.endsWith('Dataquery')) schema.definitions[name] = { type: 'object' }
  }
  return new Ajv({ strict: false, allErrors: true }).compile(schema)
}
