#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --no-maglev
/** The executable. The types are stripped and the code is compiled once per version and machine: that halves the time to the first poll, but only
 * for what is imported after this call, so the command line itself is imported here. JavaScript, because a first file in TypeScript would load
 * the stripper every time (15 MB), and because an old Node can still say what it lacks. */
import module from 'node:module'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `tailflux: This is Node ${process.version}, and tailflux needs 24.12 or newer. \`npx tailflux\` and \`npm start\` bring it along.\n`,
  )
  process.exit(1)
}
if (process.pid === 1) {
  // The first process of a container gets only signals that it listens to, so one that comes while the program is loaded would be lost. What runs
  // for longer takes over (commands/exit.ts).
  process.on('SIGTERM', () => process.exit(143))
  process.on('SIGINT', () => process.exit(130))
}
module.enableCompileCache()
await import('./commands/program.ts')
