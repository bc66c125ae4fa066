/** How routes describe their answers: for docs/openapi.json, and for the tests that check real answers. */
import type { FastifyInstance } from 'fastify'
import answers from './answers.json' with { type: 'json' }

type AnswerName = keyof typeof answers

/** Makes the names in answers.json known to the routes of this app. */
export function addAnswerSchemas(app: FastifyInstance): void {
  for (const [name, schema] of Object.entries(answers)) app.addSchema({ $id: name, ...schema })
}

/** A JSON answer, by the name of its type. */
export function json(name: AnswerName, description: string) {
  return { description, content: { 'application/json': { schema: { $ref: `${name}#` } } } }
}

/** An answer of another media type. */
export function text(mediaType: string, description: string) {
  return { description, content: { [mediaType]: { schema: { type: 'string' } } } }
}

/** Parameters after the `?`: name to description. */
export function query(parameters: Readonly<Record<string, string>>, required: readonly string[] = []) {
  const properties = Object.entries(parameters).map(([name, description]) => [name, { type: 'string', description }])
  return { type: 'object', properties: Object.fromEntries(properties), required }
}

/** For routes that need access. */
export const REFUSED = {
  401: json('ErrorAnswer', 'A token is required, or this one is wrong.'),
  403: json('ErrorAnswer', 'No token is configured: only requests that name this machine as their host are answered.'),
  500: json('ErrorAnswer', 'An error inside tailflux; its log names the cause.'),
}
export const READ_ACCESS = [{ bearer: [] }, { basic: [] }]
