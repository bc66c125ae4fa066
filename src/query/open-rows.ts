/** Opens what is stored for reading: InfluxDB, VictoriaMetrics, or the embedded store when there is no URL. */
import type { Clock } from '../base/clock.ts'
import type { InfluxConfig, Retention } from '../sink/config.ts'
import { createPlaceNames } from '../sink/influxdb/places.ts'
import { createInfluxHttp } from '../sink/influxdb/transport.ts'
import { createInfluxRowStore } from './influx-row-store.ts'
import { createServerRows } from './server-rows.ts'
import { createStoreRowStore } from './store-row-store.ts'
import type { StoredRows } from './stored-rows.ts'
import { createVictoriaRowStore } from './victoria-row-store.ts'

export interface OpenRows {
  readonly rows: StoredRows
  /** The rows under another name of the tailnet. */
  rowsOf(tailnet: string): StoredRows
  /** Closes connections; nothing may be asked afterwards. */
  stop(): void
}

/** Does no I/O by itself. */
export function openRows(
  config: {
    readonly influx: InfluxConfig
    readonly retention: Retention
    /** The file of the embedded store. */
    readonly storePath: string
    /** The value of tag `tailnet`. */
    readonly tailnet: string
  },
  { clock }: { readonly clock: Pick<Clock, 'now'> },
): OpenRows {
  const { influx, retention, storePath: path, tailnet } = config
  const { url, api } = influx
  if (url === undefined) {
    const rowsOf = (name: string) => createStoreRowStore({ path, tailnet: name })
    return { rows: rowsOf(tailnet), rowsOf, stop: () => undefined }
  }
  const label = `The database at ${url}`
  const http = createInfluxHttp({ ...influx, url }, label)
  const places = createPlaceNames({ ...influx, retention })
  const rowsOf = (name: string) => {
    const deps = { http, label, clock, places }
    const inInflux = createInfluxRowStore({ api, tailnet: name }, deps)
    // VictoriaMetrics has the write APIs of the other two.
    return api === 'v3' ? inInflux : createServerRows(inInflux, createVictoriaRowStore({ tailnet: name }, deps))
  }
  return { rows: rowsOf(tailnet), rowsOf, stop: http.stop }
}
