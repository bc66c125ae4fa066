/** Errors of commands that end with them: nothing is tried again, so they do not promise that; and a file that cannot be used is a sentence. */
import { CollectorError, systemCode } from '../base/errors.ts'

const PROMISES = [
  /[;,] it is (?:tried again|retried)(?: by itself| automatically| later| with a shorter (?:one|window))?(?=[.;])/g,
  /[;,] the (?:write|request) is retried(?: automatically)?(?=[.;])/g,
  /; (?:polling|reading) then resumes automatically/g,
  / (?:The request is retried|Polling then resumes|The window is read again) automatically(?:;[^.]*)?\./g,
  / Points that fit are stored, and the rest is retried until it fits\./g,
  / Nothing is lost; polling resumes automatically[^.]*\./g,
]

/** The text of an error without what the service would do about it. */
export function withoutPromises(text: string): string {
  const left = PROMISES.reduce((rest, promise) => rest.replace(promise, ''), text)
  return left.replace(' Smaller ones follow automatically; if', ' If')
}

const FILE_FAULTS: Readonly<Record<string, string>> = {
  EEXIST: 'exists already; remove it, or choose another name: nothing is overwritten.',
  ENOENT: 'cannot be created or read, because it or its folder does not exist; check the path.',
  ENOTDIR: 'cannot be used, because a part of its path is no folder; check the path.',
  EISDIR: 'is a folder; name a file in it.',
  EACCES: 'may not be used by this user; change its permissions, or choose another one.',
  EPERM: 'may not be used by this user; change its permissions, or choose another one.',
  EROFS: 'is on a file system that is read-only; choose another one.',
}

/** A file or folder named on the command line cannot be used. Undefined for other errors. */
export function fileError(error: unknown): CollectorError | undefined {
  const code = systemCode(error)
  if (code === undefined || !(error instanceof Error) || !('path' in error) || !('syscall' in error)) return undefined
  const fault = FILE_FAULTS[code]?.replace(';', ` (${code});`) ?? `cannot be used (${code}); check its disk.`
  return new CollectorError(`${error.path} ${fault}`, {
    stage: 'config',
    code: 'state_failed',
    reaction: 'hold',
    cause: error,
  })
}
