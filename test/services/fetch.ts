/** `npm run servers`: brings in every server that tests run against and that is missing, and says where each one is. Exit code 1 when one
 * cannot be had. */
import { ensure, SERVER_NAMES } from './servers.ts'

for (const name of SERVER_NAMES) {
  try {
    const { path } = await ensure(name)
    console.log(`${name.padEnd(16)} ${path}`)
  } catch (error) {
    process.exitCode = 1
    console.error(`${name.padEnd(16)} ${error instanceof Error ? error.message : String(error)}`)
    if (error instanceof Error && error.cause) console.error(error.cause)
  }
}
