/** The demo tailnet as it is now, over HTTP. */
import { createSimulatedApi } from '../test/simulator/api.ts'
import { serve } from './child.ts'
import { type TailnetName, tailnetOf } from './inputs.ts'

const [tailnet] = process.argv.slice(2) as [TailnetName]
const server = createSimulatedApi(tailnetOf(tailnet))
await server.start()

serve(() => server.url)
