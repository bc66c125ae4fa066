/** Flow logs inside the lines of other logs: of containers (json-file of Docker, the form of Kubernetes), of collectors that keep the line that they
 * received as a text, and of log streaming whose event is a text. */

export interface Unwrapper {
  /** A line of a container in the form of Kubernetes (CRI): what was written; '' while more pieces of it follow. Undefined for any other line. */
  unwrapContainer(line: string): string | undefined
  /** A line of JSON that holds JSON as a text: that text; '' while more pieces of it follow. Undefined for any other line. */
  unwrapJson(line: Buffer): string | undefined
}

const CRI = /^\d{4}-\d\d-\d\dT\S{1,40} std(?:out|err) ([PF]) /
/** Of a line that comes in pieces: Docker and Kubernetes cut them after 16 KiB. */
const HELD_CHARS_MAX = 8 << 20
/** Docker, Vector and Filebeat, journald, log streaming to Splunk, and Splunk's export. */
const MEMBERS = ['log', 'message', 'MESSAGE', 'event', '_raw']

export function createUnwrapper(): Unwrapper {
  let held = ''

  /** What was held, and this piece. */
  function joined(text: string, isPartial: boolean): string {
    const whole = held + text
    held = isPartial && whole.length <= HELD_CHARS_MAX ? whole : ''
    return isPartial ? '' : whole
  }

  return {
    unwrapContainer(line) {
      const head = CRI.exec(line)
      return head === null ? undefined : joined(line.slice(head[0].length).replace(/\r?\n$/, ''), head[1] === 'P')
    },
    unwrapJson(line) {
      const value = objectIn(line)
      if (value === undefined) return undefined
      const text = MEMBERS.map((name) => value[name]).find((one) => typeof one === 'string')
      if (typeof text !== 'string' || (held === '' && !/^\s*[[{]/.test(text))) return undefined
      // Docker's lines have the line break of what was written, unless another piece follows.
      return joined(text, typeof value['stream'] === 'string' && 'log' in value && !text.endsWith('\n'))
    },
  }
}

function objectIn(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    // Several values in one line, then.
    return undefined
  }
}
