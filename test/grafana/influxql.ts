/** What InfluxQL of 1.x has and 2.x or 3.x lack, or answer wrongly. Sources: InfluxDB 2 "InfluxQL support", InfluxDB 3 Core "InfluxQL
 * feature support", and trials on 1.x. */

interface Rule {
  readonly pattern: RegExp
  readonly why: string
}

const FORBIDDEN: readonly Rule[] = [
  { pattern: /\bS(LIMIT|OFFSET)\b/i, why: 'SLIMIT and SOFFSET: not in 3.x' },
  { pattern: /\bINTO\b/i, why: 'SELECT INTO: not in 2.x and 3.x' },
  { pattern: /\bCARDINALITY\b/i, why: 'cardinality statements: not in 2.x and 3.x' },
  {
    pattern: /\bSHOW\s+(SERIES|USERS|GRANTS|QUERIES|SHARDS?|STATS|DIAGNOSTICS|SUBSCRIPTIONS|CONTINUOUS)\b/i,
    why: 'not in 3.x',
  },
  { pattern: /\bSHOW\b.*\bON\b/i, why: 'SHOW … ON database: not in 3.x' },
  { pattern: /\b(CREATE|DROP|DELETE|ALTER|GRANT|REVOKE|KILL|EXPLAIN)\b/i, why: 'a dashboard reads' },
  {
    pattern:
      /\b(SAMPLE|HOLT_WINTERS\w*|\w+_MOVING_AVERAGE|\w+_OSCILLATOR|\w+_RATIO|RELATIVE_STRENGTH_INDEX|TRIPLE_\w+|KAUFMANS_\w+)\s*\(/i,
    why: 'not in 3.x',
  },
  { pattern: /\bFROM "[^"]*"\."[^"]*"(?!\.)/i, why: 'policy.measurement without the database: not in 3.x' },
  { pattern: /__range/, why: 'Grafana has __range for Prometheus and Loki only' },
  { pattern: /\bORDER\s+BY\s+(?!time\b)/i, why: 'ORDER BY knows only time' },
  {
    pattern: /DISTINCT\s*\(\s*"(node|src|dst|kind|proto|port|path|\w+_name)"/i,
    why: 'distinct() of a tag returns nothing',
  },
  { pattern: /\/\s*\d+(ns|u|µ|ms|s|m|h|d|w)\b/, why: 'dividing by a duration returns null' },
  { pattern: /=~\s*\/.*\(\?[=!<]/, why: 'look-around: in none of the three regular expression engines' },
  {
    pattern: /\b(tx|rx)_(bytes|pkts)"\)\s*\*\s*\d+(?![\d.])/,
    why: 'integer products overflow and divide as integers in 3.x',
  },
]

/** Functions that all three have and answer alike. */
const FUNCTIONS = ['sum', 'max', 'mean', 'count', 'last', 'percentile', 'top', 'bottom', 'now', 'time', 'fill']
const STATEMENT = /^(SELECT|SHOW TAG VALUES FROM) /

/** Faults of a query with Grafana's placeholders still in it; empty when it runs everywhere. */
export function portabilityFaults(query: string): string[] {
  const faults = FORBIDDEN.filter(({ pattern }) => pattern.test(query)).map(({ why }) => why)
  if (!STATEMENT.test(query)) faults.push('neither SELECT nor SHOW TAG VALUES')
  const bare = query.replaceAll(/\/\^.*?\/(?= |\)|$)/g, '/x/')
  for (const [, name] of bare.matchAll(/(\w+)\s*\(/g)) {
    if (!['FROM', 'SELECT', 'AND', 'OR', 'WHERE'].includes(name!) && !FUNCTIONS.includes(name!.toLowerCase()))
      faults.push(`function ${name}`)
  }
  // Identifiers are quoted with ", values with ': `kind = "virtual"` compares with a field of that name.
  if (/(?<!KEY )= "/.test(bare)) faults.push('a value in double quotes')
  if (/\bFROM [^"($]/.test(bare)) faults.push('a measurement without quotes')
  return faults
}
