/** `npm run audit`: known weaknesses of the packages that the service runs with. An advisory is a failure. A registry without this service is only
 * reported, because a mirror must not stop the tests of a change. */
import { spawnSync } from 'node:child_process'

export interface Outcome {
  readonly isGood: boolean
  readonly text: string
}

/** What the output of `npm audit --json` means. */
export function outcomeOf(output: string): Outcome {
  const report = parsed(output)
  const counts = report?.metadata?.vulnerabilities
  if (counts?.total === undefined) {
    const why = report?.message ?? (output.trim().slice(0, 200) || 'no answer')
    return { isGood: true, text: `advisories could not be asked for: ${why}. Run npm audit --omit=dev elsewhere.` }
  }
  if (counts.total === 0) return { isGood: true, text: 'no advisories for the packages of the service' }
  const names = Object.entries(report?.vulnerabilities ?? {}).map(([name, { severity }]) => `${name} (${severity})`)
  return { isGood: false, text: `advisories for ${names.join(', ')}: npm audit --omit=dev says which version is safe` }
}

interface Report {
  readonly message?: string
  readonly metadata?: { readonly vulnerabilities?: { readonly total?: number } }
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>
}

function parsed(output: string): Report | undefined {
  try {
    return JSON.parse(output) as Report
  } catch {
    // Not a report: the text itself is shown.
    return undefined
  }
}

if (import.meta.main) {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', timeout: 60_000 })
  const { isGood, text } = outcomeOf(stdout ?? '')
  console.log(text)
  process.exitCode = isGood ? 0 : 1
}
