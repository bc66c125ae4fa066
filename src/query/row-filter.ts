/** Which rows or points are wanted, by their tags: the same for a query in InfluxQL and for points of the embedded store. */
import { equals, identifier, patternOf } from '../sink/influxdb/influxql.ts'

/** One tag and its value; `isListed`: one of the values that it lists, separated by commas. */
export interface TagMatch {
  readonly tag: string
  readonly value: string
  readonly isListed?: boolean
}

/** Every clause must hold; a clause holds when one of its matches does. */
export type RowFilter = readonly (readonly TagMatch[])[]

/** A condition of InfluxQL for each clause. */
export function conditionsOf(filter: RowFilter): readonly string[] {
  // A clause without matches holds for nothing.
  return filter.map((clause) => (clause.length === 0 ? `"tailnet" = ''` : `(${clause.map(conditionOf).join(' OR ')})`))
}

function conditionOf({ tag, value, isListed }: TagMatch): string {
  return isListed ? `${identifier(tag)} =~ /(^|,)${patternOf(value)}(,|$)/` : equals(tag, value)
}

export function isWanted(filter: RowFilter, tags: ReadonlyMap<string, string>): boolean {
  return filter.every((clause) => clause.some((match) => fits(match, tags.get(match.tag) ?? '')))
}

function fits({ value, isListed }: TagMatch, found: string): boolean {
  return found === value || (isListed === true && found.split(',').includes(value))
}
