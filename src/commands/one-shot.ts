/** Errors of commands that end with them: nothing is tried again, so they do not promise that. */

const PROMISES = [
  /[;,] it is (?:tried again|retried)(?: by itself| automatically| later| with a shorter (?:one|window))?(?=[.;])/g,
  /[;,] the (?:write|request) is retried(?: automatically)?(?=[.;])/g,
  /; (?:polling|reading) then resumes automatically/g,
  / (?:The request is retried|Polling then resumes|The window is read again) automatically(?:;[^.]*)?\./g,
  / Smaller ones follow automatically;/g,
  / Points that fit are stored, and the rest is retried until it fits\./g,
  / Nothing is lost; polling resumes automatically[^.]*\./g,
]

/** The text of an error without what the service would do about it. */
export function withoutPromises(text: string): string {
  return PROMISES.reduce((left, promise) => left.replace(promise, ''), text)
}
