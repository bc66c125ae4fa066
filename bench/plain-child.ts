/** The plain route over one file, read as the body of an answer, for its memory. */
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { serve } from './child.ts'
import { discarding, PLAIN_BATCH, plain, WRITE_OPTIONS } from './routes/plain.ts'

const [path] = process.argv.slice(2) as [string]

serve(async () => {
  const body = Readable.toWeb(createReadStream(path)) as unknown as ReadableStream
  const api = discarding().getWriteApi('', 'bench', 'ns', WRITE_OPTIONS)
  return plain(new Response(body), api, PLAIN_BATCH)
})
