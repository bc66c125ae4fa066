/** The plain route from one answer over HTTP into a database. */
import { InfluxDB } from '@influxdata/influxdb-client'
import { serve } from './child.ts'
import { PLAIN_BATCH, plain, WRITE_OPTIONS } from './routes/plain.ts'

export interface PlainOrder {
  readonly answer: string
  /** `http://…/write?db=…`: the client itself only knows the path of 2.x. */
  readonly write: string
}

serve(async ({ answer, write }: PlainOrder) => {
  const { origin, pathname, search } = new URL(write)
  const api = new InfluxDB({ url: origin, timeout: 60_000 }).getWriteApi('', 'bench', 'ns', WRITE_OPTIONS)
  api.path = `${pathname}${search}`
  const result = await plain(await fetch(answer), api, PLAIN_BATCH)
  await api.close()
  return result
})
