/** A sink that prints what would be written. */
import type { Sink } from '../sink/sink.ts'

export function createPrinter(): Pick<Sink, 'start' | 'write'> {
  return {
    start: async () => undefined,
    write(batch) {
      const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<Sink['write']>>>()
      process.stdout.write(batch.bytes, (error) =>
        error ? reject(error) : resolve({ written: batch.lineCount, rejected: 0, expired: 0, sentMs: 0 }),
      )
      return promise
    },
  }
}
