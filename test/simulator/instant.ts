/** Times in requests: RFC 3339 with up to nine fraction digits and any offset. Independent of the parser that tests compare with it. */

const RFC3339 = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?(Z|[+-]\d{2}:\d{2})$/

/** ns since the epoch; undefined if the text is not a time. */
export function instantNs(text: string): bigint | undefined {
  const [, seconds, fraction = '', offset] = RFC3339.exec(text) ?? []
  if (seconds === undefined || offset === undefined) return undefined
  const ms = Date.parse(`${seconds}${offset}`)
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}
