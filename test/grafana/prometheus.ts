/** A real Prometheus that scrapes one target every second and evaluates the rules as often. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Scope, type ServerProcess, startServer } from '../services/server-process.ts'
import { ensure } from '../services/servers.ts'

const PATIENCE_MS = 60_000

export interface Prometheus extends ServerProcess {
  /** Resolves with the alert's labels when it fires; rejects after a minute. */
  firing(alert: string): Promise<Readonly<Record<string, string>>>
}

/** `rules`: a file; its `for:` are taken out, so that an alert fires as soon as its condition holds. */
export async function startPrometheus(
  scope: Scope,
  options: { rules: string; job: string; port: number },
): Promise<Prometheus> {
  const { path } = await ensure('prometheus')
  const server = await startServer(scope, {
    name: 'prometheus',
    program: path,
    args: ({ dir, port }) => {
      writeFileSync(join(dir, 'rules.yml'), readFileSync(options.rules, 'utf8').replaceAll(/^\s+for: .*$/gm, ''))
      const config = {
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: ['rules.yml'],
        scrape_configs: [{ job_name: options.job, static_configs: [{ targets: [`127.0.0.1:${options.port}`] }] }],
      }
      // JSON is YAML.
      writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify(config))
      return [
        `--config.file=${join(dir, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(dir, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ]
    },
    readyPath: '/-/ready',
  })

  async function firing(alert: string): Promise<Readonly<Record<string, string>>> {
    for (const deadlineMs = Date.now() + PATIENCE_MS; Date.now() < deadlineMs; await sleep(200)) {
      const [first] = await ask(`ALERTS{alertname="${alert}",alertstate="firing"}`)
      if (first) return first.metric
    }
    const reported = (await ask('{__name__=~"tailflux_.*",__name__!~".*_bucket"} != 0')).map(({ metric, value }) =>
      JSON.stringify([metric, value[1]]),
    )
    throw new Error(`${alert} does not fire; what the service tells:\n${reported.join('\n')}`)
  }

  async function ask(query: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> {
    const answer = await fetch(`${server.url}/api/v1/query?query=${encodeURIComponent(query)}`)
    const body = (await answer.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] }
    }
    return body.data.result
  }

  return Object.assign(server, { firing })
}
