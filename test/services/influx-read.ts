/** Reads a measurement of a real InfluxDB back, exactly: integers of all 64 bits, timestamps in ns, tag values as they are. */

export interface ReadPoint {
  readonly measurement: string
  /** Only tags that the point has. */
  readonly tags: Readonly<Record<string, string>>
  /** Integers as bigint, floats as number. Only fields that the point has. */
  readonly fields: Readonly<Record<string, bigint | number | string | boolean>>
  readonly timestampNs: bigint
}

export interface InfluxPlace {
  readonly url: string
  readonly db: string
  readonly rp?: string
  readonly headers?: Readonly<Record<string, string>>
}

type Cell = bigint | number | string | boolean | null
interface Answer {
  readonly error?: string
  readonly results?: readonly {
    readonly error?: string
    readonly series?: readonly {
      readonly name: string
      readonly tags?: Readonly<Record<string, string>>
      readonly columns: readonly string[]
      readonly values: readonly (readonly Cell[])[]
    }[]
  }[]
}

/** All points, series by series, oldest first. `where` is a condition in InfluxQL. */
export async function readPoints(place: InfluxPlace, measurement: string, where?: string): Promise<ReadPoint[]> {
  const points: ReadPoint[] = []
  for await (const point of iteratePoints(place, measurement, where)) points.push(point)
  return points
}

export async function* iteratePoints(
  place: InfluxPlace,
  measurement: string,
  where?: string,
): AsyncGenerator<ReadPoint> {
  const floats = await floatFields(place, measurement)
  const condition = where === undefined ? '' : ` WHERE ${where}`
  const text = `SELECT * FROM ${source(place, measurement)}${condition} GROUP BY *`
  for await (const answer of ask(place, text)) {
    for (const { name, tags = {}, columns, values } of answer.results?.[0]?.series ?? []) {
      const present = Object.fromEntries(Object.entries(tags).filter(([, value]) => value !== ''))
      for (const row of values) {
        const fields: Record<string, bigint | number | string | boolean> = {}
        columns.forEach((column, index) => {
          const value = row[index] ?? null
          if (column === 'time' || value === null) return
          fields[column] = typeof value === 'bigint' && floats.has(column) ? Number(value) : value
        })
        yield { measurement: name, tags: present, fields, timestampNs: row[columns.indexOf('time')] as bigint }
      }
    }
  }
}

/** The names of float fields: JSON writes a float without a fraction like an integer. */
async function floatFields(place: InfluxPlace, measurement: string): Promise<Set<string>> {
  const names = new Set<string>()
  for await (const answer of ask(place, `SHOW FIELD KEYS FROM ${source(place, measurement)}`)) {
    for (const { values } of answer.results?.[0]?.series ?? []) {
      for (const [name, type] of values) if (type === 'float') names.add(String(name))
    }
  }
  return names
}

async function* ask(place: InfluxPlace, text: string): AsyncGenerator<Answer> {
  const query = new URLSearchParams({ db: place.db, epoch: 'ns', chunked: 'true', chunk_size: '10000', q: text })
  const answer = await fetch(`${place.url}/query?${query}`, { headers: { ...place.headers } })
  if (answer.body === null) return
  let rest = ''
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    // 3.x has no line ends between its documents. Within one, `}{` may only stand in a text, where it does not begin so.
    const lines = (rest + chunk).replaceAll('}{"results":', '}\n{"results":').split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield parsed(line, text)
  }
  if (rest !== '') yield parsed(rest, text)
}

function parsed(line: string, text: string): Answer {
  const answer = JSON.parse(line, (_key, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value,
  ) as Answer
  const error = answer.error ?? answer.results?.find((result) => result.error !== undefined)?.error
  if (error !== undefined) throw new Error(`${text}: ${error}`)
  return answer
}

function source({ db, rp }: InfluxPlace, measurement: string): string {
  const quoted = (name: string) => `"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  return rp === undefined ? quoted(measurement) : `${quoted(db)}.${quoted(rp)}.${quoted(measurement)}`
}
