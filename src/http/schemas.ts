/** How routes describe their answers, for docs/openapi.json. The running service does not need the schemas that the names stand for; config/openapi.ts
 * makes them of the types. */
import type { Answers } from './answers.ts'

/** A JSON answer, by the name of its type. */
export function json(name: keyof Answers, description: string) {
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
