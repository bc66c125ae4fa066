/** The options of a script that people run by `npm run`. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

/** Reads the options of the command line. `--help` prints them and ends the process; one that is unknown is a sentence and exit code 2. `name`: how the
 * script is called. */
export function readOptions<T extends ParseArgsOptionsConfig>(name: string, options: T) {
  const help = { type: 'boolean', default: false } as const
  try {
    const { values } = parseArgs({ options: { ...options, help } })
    if (!('help' in values) || values['help'] !== true) return parseArgs({ options }).values
    process.stdout.write(usageOf(name, options))
    return process.exit(0)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    process.stderr.write(`${error.message}\n${usageOf(name, options)}`)
    return process.exit(2)
  }
}

function usageOf(name: string, options: ParseArgsOptionsConfig): string {
  const lines = Object.entries(options).map(([key, { type, default: value }]) => {
    const by = value === undefined || type === 'boolean' ? '' : ` (default: ${value})`
    return `  --${key}${type === 'boolean' ? '' : ' VALUE'}${by}\n`
  })
  return `Usage: ${name}${lines.length === 0 ? '' : ' -- [options]'}\n${lines.join('')}`
}
