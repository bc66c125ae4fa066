/** The log: one JSON line each, scrubbed of secrets, repeats of a warning or error held back and counted. */
import { type DestinationStream, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino'
import { type Clock, systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { SecretRegistry } from '../secrets/redactor.ts'
import { createLogOutput } from './log-output.ts'
import { createThrottle } from './throttle.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level: LogLevel
  readonly secrets: Pick<SecretRegistry, 'scrub'>
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream
  readonly clock?: Pick<Clock, 'monotonicMs'>
}

/** From this level on repeats are held back. */
const WARN = 40

/** Each component takes `log.child({ component: 'source' })`. A field `err` shows the error with its causes, `code` its code. */
export function createLog({ level, secrets, destination: to, clock = systemClock }: LogOptions): Logger {
  const out = to ?? createLogOutput({ fd: 1 })
  const throttle = createThrottle(clock)
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields },
      hooks: {
        logMethod(args, method, number) {
          if (number < WARN) return method.apply(this, args)
          const [first, second] = args as [unknown, unknown]
          const fields = typeof first === 'object' && first !== null ? first : undefined
          const code = fields && 'code' in fields ? fields.code : ''
          const held = throttle.pass(`${number} ${this.bindings()['component']} ${code} ${fields ? second : first}`)
          if (held === undefined) return
          if (held === 0) return method.apply(this, args)
          const counted = { heldBackCount: held, ...fields }
          method.apply(this, (fields ? [counted, ...args.slice(1)] : [counted, ...args]) as typeof args)
        },
      },
    },
    { write: (line: string) => out.write(secrets.scrub(line)) },
  )
}

/** A CollectorError says itself what is wrong; a stack would only repeat its text. Any other error is a programmer's, who needs it. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const fields = stdSerializers.err(error)
  if (!(error instanceof CollectorError)) return fields
  const { type, message } = fields
  return { type, message }
}
