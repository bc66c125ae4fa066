/** The line over the first entries of a file, read as a socket would give it; warm, as a service is after its first minute. */
import { closeSync, openSync, readSync } from 'node:fs'
import { serve } from './child.ts'
import { createLine } from './routes/line.ts'

const [path] = process.argv.slice(2) as [string]
const line = createLine()
const chunk = new Uint8Array(64 * 1024)

/** Reads until there were `count` entries; the answer is then left unfinished. Returns CPU seconds per million entries. */
serve((entries: number): number => {
  const file = openSync(path, 'r')
  const answer = line.begin()
  const before = process.cpuUsage()
  while (answer.result.entries < entries) {
    const count = readSync(file, chunk)
    if (count === 0) throw new Error(`${path} has only ${answer.result.entries} entries`)
    answer.push(chunk.subarray(0, count))
  }
  const { user, system } = process.cpuUsage(before)
  closeSync(file)
  line.abandon()
  return (user + system) / answer.result.entries
})
