/** A real Alertmanager. */
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Scope, type ServerProcess, startServer } from './server-process.ts'
import { ensure } from './servers.ts'

export interface Alertmanager extends ServerProcess {
  /** Replaces the configuration of the running server. */
  configure(yaml: string): Promise<void>
}

const NO_RECEIVER = 'route: { receiver: none }\nreceivers: [{ name: none }]\n'

export async function startAlertmanager(scope?: Scope, options: { config?: string } = {}): Promise<Alertmanager> {
  const { path, root } = await ensure('alertmanager')
  const write = (dir: string, yaml: string) => {
    const file = join(dir, 'alertmanager.yml')
    writeFileSync(file, yaml)
    return file
  }
  const server = await startServer(scope, {
    name: 'alertmanager',
    program: path,
    args: ({ dir, port }) => {
      // Where the unpacked program finds its templates, see servers.ts.
      if (root !== undefined) symlinkSync(join(root, 'usr'), join(dir, 'usr'))
      return [
        `--config.file=${write(dir, options.config ?? NO_RECEIVER)}`,
        `--storage.path=${join(dir, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        // No cluster, no other port.
        '--cluster.listen-address=',
      ]
    },
    readyPath: '/-/ready',
  })
  return Object.assign(server, {
    async configure(yaml: string) {
      write(server.dir, yaml)
      const answer = await fetch(`${server.url}/-/reload`, { method: 'POST' })
      if (!answer.ok) throw new Error(`Alertmanager refuses the configuration: ${await answer.text()}`)
    },
  })
}
