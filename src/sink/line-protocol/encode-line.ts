/** Single lines with points about the service itself; line-writer.ts writes the lines of messages. */
import { printable, tagValue } from '../../flatten/tag-value.ts'
import { escapeMeasurement, escapeTag } from './escape.ts'

const INT64_MAX = (1n << 63n) - 1n
const INT64_MIN = -(1n << 63n)

const encoder = new TextEncoder()

/** The bytes of one line, its line end included: tags in the order given, sanitised as in points (never empty, at most 256 bytes); a
 * field is an integer (`i`; a number must be an integer), a boolean, or a text (at most 16 Ki characters, control characters
 * replaced). Throws a RangeError for no fields, a number that is not whole, or an integer beyond int64. */
export function encodeLine(
  measurement: string,
  tags: Readonly<Record<string, string>>,
  fields: Readonly<Record<string, bigint | number | boolean | string>>,
  timestampNs: bigint,
): Uint8Array {
  const head = [escapeMeasurement(tagValue(measurement))]
  for (const [key, value] of Object.entries(tags))
    head.push(`${escapeTag(tagValue(key))}=${escapeTag(tagValue(value))}`)
  const values = Object.entries(fields).map(([key, value]) => `${escapeTag(tagValue(key))}=${fieldText(value)}`)
  if (values.length === 0) throw new RangeError(`a line of ${measurement} needs a field`)
  return encoder.encode(`${head.join()} ${values.join()} ${timestampNs}\n`)
}

function fieldText(value: bigint | number | boolean | string): string {
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return `"${quotable(value)}"`
  const whole = BigInt(value)
  if (whole < INT64_MIN || whole > INT64_MAX) throw new RangeError(`${whole} is no int64`)
  return `${whole}i`
}

function quotable(text: string): string {
  return printable(text.slice(0, 16_384)).replaceAll('"', '\\"')
}
