/** Alerts as points, for annotations in Grafana: `tailflux_event`, one for each time an alert begins to fire and each time it ends, at the time
 * of the traffic. Tags are few and closed (rule, severity, state); who it was about is in the text. */
import { encodeLine } from '../sink/lines-own.ts'
import { fingerprintOf, labelsOf } from './alert.ts'
import type { Transition } from './judge.ts'
import { renderSummary, thresholdText, valueText } from './summary.ts'

const SECOND = 1_000_000_000n

export function eventLine({ alert, is, mark, value }: Transition, tailnet: string): Uint8Array {
  const { rule } = alert
  const shown = is === 'firing' ? value : alert.firedValue
  const atNs = is === 'firing' ? mark.firedNs : mark.resolvedNs
  // Two alerts of one rule at one step would be one point: its identity takes the nanoseconds.
  const ownNs = BigInt(`0x${fingerprintOf(labelsOf(alert, tailnet)).slice(0, 12)}`) % SECOND
  return encodeLine(
    'tailflux_event',
    { alert: rule.name, severity: rule.severity, state: is, tailnet, type: 'alert' },
    {
      title: `${rule.title}: ${is}`,
      text: renderSummary(rule, { tailnet, group: alert.group, value: shown }),
      tags: `alert,${rule.name},${is}`,
      value: valueText(rule, shown),
      threshold: thresholdText(rule),
      ...(is === 'resolved' ? { fired: mark.firedNs } : {}),
    },
    atNs + ownNs,
  )
}
