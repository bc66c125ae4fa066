/** Makes src/http/answers.json of the types in src/http/answers.ts: each type with its name, comments as descriptions. */
import { fileURLToPath } from 'node:url'
import { createGenerator } from 'ts-json-schema-generator'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ROOT_TYPE = 'Answers'

/** JSON text. */
export function answerSchemas(): string {
  const generator = createGenerator({
    path: `${ROOT}src/http/answers.ts`,
    tsconfig: `${ROOT}tsconfig.json`,
    type: ROOT_TYPE,
    // `npm run types` checks.
    skipTypeCheck: true,
    additionalProperties: false,
  })
  const { definitions = {} } = generator.createSchema(ROOT_TYPE)
  const named = Object.entries(definitions)
    .filter(([name]) => name !== ROOT_TYPE)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
  // Fastify knows a shared schema by `Name#`.
  const text = JSON.stringify(Object.fromEntries(named), undefined, 2)
  return `${text.replaceAll(/"#\/definitions\/(\w+)"/g, '"$1#"')}\n`
}
