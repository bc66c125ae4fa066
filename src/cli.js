#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=1
/** The executable. The types are stripped and the code is compiled once per version and machine: that halves the time to the first poll, but only
 * for what is imported after this call, so the command line itself is imported here. JavaScript, because a first file in TypeScript would load
 * the stripper every time: 15 MB. */
import { enableCompileCache } from 'node:module'

enableCompileCache()
await import('./commands/program.ts')
