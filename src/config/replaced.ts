/** Settings of earlier versions that are errors now, with what replaces them. */
const REPLACED = [
  {
    name: 'influx.nodesBucket',
    variable: 'TAILFLUX_INFLUX_NODES_BUCKET',
    by: 'is replaced by retention.raw and retention.minutes, which give raw points and rows of minutes places of their own; remove it',
  },
  {
    name: 'store',
    variable: 'TAILFLUX_STORE_RETENTION',
    by: 'is replaced by retention.raw, retention.minutes and retention.rest; remove it',
  },
] as const

/** What replaces a setting, by its name or its variable; undefined for all others. */
export function replacementOf(name: string): string | undefined {
  return REPLACED.find((one) => one.name === name || one.variable === name)?.by
}
