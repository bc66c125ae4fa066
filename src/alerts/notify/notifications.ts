/** Alerts as notifiers receive them, and those whose rule was removed. */
import { isoOf } from '../../base/format.ts'
import { type Alert, fingerprintOf, labelsOf } from '../alert.ts'
import type { RuleState } from '../judge.ts'
import { NEVER } from '../machine.ts'
import type { Orphan } from '../store-alerts.ts'
import { renderSummary } from '../summary.ts'
import type { NotifiableAlert } from './dispatcher.ts'

export function* notifications(
  rules: readonly RuleState[],
  orphans: readonly Orphan[],
  tailnet: string,
): Iterable<NotifiableAlert> {
  for (const state of rules) for (const alert of state.alerts.values()) yield notification(alert, tailnet)
  for (const orphan of orphans) {
    const { labels, summary } = orphan
    const textsOf = () => ({
      labels,
      summary,
      title: orphan.rule,
      annotations: { note: 'the rule was changed or removed' },
    })
    yield { ...orphan, fingerprint: fingerprintOf(labels), textsOf }
  }
}

export function notification(alert: Alert, tailnet: string): NotifiableAlert {
  const mark = alert.marks.at(-1) ?? NEVER
  const labels = labelsOf(alert, tailnet)
  return {
    fingerprint: fingerprintOf(labels),
    firedNs: mark.firedNs,
    resolvedNs: mark.resolvedNs,
    notified: alert.notified,
    about: alert,
    textsOf(status) {
      const { rule, group } = alert
      const value = status === 'firing' && mark.state === 'firing' ? alert.value : alert.firedValue
      const isOver = status === 'firing' && mark.state !== 'firing'
      return {
        labels,
        title: rule.title,
        summary: summaryOf(alert, tailnet, status),
        annotations: {
          value: rule.form.valueText(value),
          threshold: rule.form.thresholdText,
          window: rule.form.windowText,
          ...(group.node === undefined ? {} : { node: group.node_name ?? group.node }),
          ...(isOver ? { note: `over since ${isoOf(mark.resolvedNs)}, reported late` } : {}),
        },
      }
    },
  }
}

/** `status`: what the notifier receives, `firing` also for an alert that is over already. Without it: what the alert is now. */
export function summaryOf(alert: Alert, tailnet: string, status?: 'firing' | 'resolved'): string {
  const { rule, group } = alert
  const mark = alert.marks.at(-1) ?? NEVER
  const isFiring = mark.state === 'firing'
  const over = (status ?? (isFiring ? 'firing' : 'resolved')) === 'resolved' ? mark : undefined
  return renderSummary(rule, { tailnet, group, value: isFiring ? alert.value : alert.firedValue, over })
}
