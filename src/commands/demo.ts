/** `tailflux demo`: the service on a simulated tailnet, served over HTTP on this machine as the real API would be. */
import { Command, InvalidArgumentError } from 'commander'
import { createDemoServer, DEMO_CLIENT } from '../demo/server.ts'
import { createDemoTailnet } from '../demo/tailnet.ts'
import { runService } from './run-service.ts'
import { load } from './settings.ts'

export interface DemoOptions {
  readonly nodes?: number
  readonly seed?: number
}

const NODES = 50

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'Show tailflux on a simulated tailnet: no account needed, and without INFLUX_URL no database either. Your own settings apply, except for credentials.',
    )
    .option('--nodes <number>', 'number of nodes in the tailnet (5 to 50000)', nodeCount, NODES)
    .option('--seed <number>', 'seed of the simulated tailnet; the same seed gives the same tailnet', wholeNumber, 1)
    .action((options: DemoOptions, command: Command) => startDemo(command, options))
}

/** Settings that differ from the usual defaults, so that new points appear within seconds and the first graph shows an hour. */
const DEMO_DEFAULTS = {
  dataDir: './data/demo',
  'poll.interval': '5s',
  'poll.lag': '15s',
  'poll.lookback': '1h',
} as const

export async function startDemo(command: Command, options: DemoOptions): Promise<void> {
  const { nodes = NODES, seed = 1 } = options
  const server = createDemoServer(createDemoTailnet({ nodes, seed }))
  const apiUrl = await server.start()
  try {
    const loadDemo = () => {
      const { origins, settings } = load(command)
      const isSet = (name: string) => origins.has(name) || (name === 'poll.interval' && origins.has('poll.schedule'))
      const defaults = Object.entries(DEMO_DEFAULTS).filter(([name]) => !isSet(name))
      const changes = {
        ...Object.fromEntries(defaults),
        'tailscale.apiUrl': apiUrl,
        'tailscale.tailnet': '-',
        'tailscale.oauthClientId': DEMO_CLIENT.id,
        'tailscale.oauthClientSecret': DEMO_CLIENT.secret,
        'tailscale.apiKey': undefined,
        'tailscale.idTokenFile': undefined,
        tailnetName: settings.tailnetName ?? 'demo',
      }
      return load(command, { changes })
    }
    await runService(loadDemo, {
      isDemo: true,
      onStart: (url) =>
        process.stderr.write(`\n  A simulated tailnet of ${nodes} nodes. Status page: ${url}/  (ctrl-C to stop)\n\n`),
    })
  } finally {
    await server.stop()
  }
}

function nodeCount(text: string): number {
  const nodes = wholeNumber(text)
  if (nodes < 5 || nodes > 50_000) throw new InvalidArgumentError('It must be from 5 to 50000.')
  return nodes
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}
