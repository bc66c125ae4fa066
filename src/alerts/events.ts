/** Alerts as points, for annotations in Grafana: `tailflux_event`, one for each time an alert begins to fire and each time it ends, at the time
 * of the traffic. Tags are few and closed (rule, severity, state); who it was about is in the text. What late records refute cannot be
 * taken out of a database by writing, so its point is written once more, as `refuted`. */
import { createHash } from 'node:crypto'
import { SECOND } from '../base/clock.ts'
import { encodeLine } from '../sink/line-protocol/encode-line.ts'
import { keyOfValues } from './evaluate/groups.ts'
import type { Transition } from './judge.ts'
import { renderSummary } from './summary.ts'

const decoder = new TextDecoder()

export function eventLine({ alert, group, is, change, mark }: Transition, tailnet: string): Uint8Array {
  const { rule, values } = alert
  const { firedValue } = mark
  // Two alerts of one rule at one step would be one point: its identity takes the nanoseconds. Names may change; values stay.
  const hash = createHash('sha256').update(JSON.stringify([rule.name, keyOfValues(values)]))
  const ownNs = BigInt(`0x${hash.digest('hex').slice(0, 12)}`) % SECOND
  return encodeLine(
    'tailflux_event',
    { alert: rule.name, severity: rule.severity, state: is, tailnet, type: 'alert' },
    {
      title: `${rule.title}: ${is}`,
      text: renderSummary(rule, { tailnet, group, value: firedValue, over: is === 'resolved' ? mark : undefined }),
      tags: `alert,${rule.name},${is}`,
      value: rule.form.valueText(firedValue),
      threshold: rule.form.thresholdText,
      refuted: change === 'refuted',
      ...(is === 'resolved' ? { fired: mark.firedNs } : {}),
    },
    mark.atNs + ownNs,
  )
}

/** What tells the point of a line from all others: all but its fields. */
export function pointOf(line: Uint8Array): string {
  const text = decoder.decode(line)
  const [head = ''] = /^(?:\\.|[^ ])*/.exec(text) ?? []
  return head + text.slice(text.lastIndexOf(' '))
}
