/** `tailflux alerts test` over the past: when rules would have fired. */
import type { Transition } from '../alerts/judge.ts'
import { replay } from '../alerts/replay.ts'
import type { Rule } from '../alerts/rules/rule.ts'
import { renderSummary } from '../alerts/summary.ts'
import { max } from '../base/bigint.ts'
import { DAY, MINUTE, systemClock } from '../base/clock.ts'
import { ageText, isoOf, timeText } from '../base/format.ts'
import { suggestion } from '../base/suggestion.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { createProgress } from './progress.ts'
import { plain } from './status.ts'
import { invalid, noTraffic, withRows } from './stored-rows.ts'

/** Of one rule. */
const LINES_MAX = 100

/** What would have been notified of a rule. */
interface Replayed {
  fired: number
  readonly lines: string[]
}

/** Prints what would have happened in the last days. `name`: of one rule. Rejects with a CollectorError. */
export async function replayRules(settings: Settings, name: string | undefined, count: number): Promise<void> {
  const rules = rulesNamed(settings, name)
  const tailnet = tailnetTag(settings)
  const toNs = (systemClock.now() / MINUTE) * MINUTE
  const replayed = new Map(rules.map((rule): [Rule, Replayed] => [rule, { fired: 0, lines: [] }]))
  const options = {
    ...{ fromNs: toNs - BigInt(count) * DAY, toNs, seriesMax: settings.alerts.seriesMax },
    networks: settings.networks.map((network) => network.name),
  }
  const progress = createProgress('replay')
  const result = await withRows(settings, (rows) =>
    replay(rules, options, {
      rows,
      monotonicMs: () => systemClock.monotonicMs(),
      signal: new AbortController().signal,
      onProgress: (share) => progress.show(share, null, ''),
      onTransition(transition) {
        const { alert, is, mark } = transition
        const one = replayed.get(alert.rule)
        if (one === undefined) return
        if (is === 'firing') one.fired += 1
        one.lines.push(`  ${timeText(isoOf(mark.atNs))}  ${is.padEnd(8)}  ${plain(sentenceOf(transition, tailnet))}\n`)
      },
    }),
  ).finally(progress.end)
  if (result.oldestNs === undefined) throw noTraffic(count)
  const [from, to] = [max(result.oldestNs, options.fromNs), result.toNs].map((ns) => timeText(isoOf(ns)))
  process.stdout.write(`Replayed ${from} to ${to}\n`)
  if (result.missingMinutes > 0)
    process.stdout.write(
      `${ageText(result.missingMinutes * 60)} of it have no complete rows: states that depend on them did not change\n`,
    )
  for (const [rule, { fired, lines }] of replayed) {
    const times = fired === 0 ? 'would not have fired' : `would have fired ${fired === 1 ? 'once' : `${fired} times`}`
    process.stdout.write(`\n${rule.name}: ${times}${rule.isPaused ? ' (it is paused)' : ''}\n`)
    // They begin with the time; the order of what happened at once is that of the text.
    process.stdout.write(lines.toSorted().slice(0, LINES_MAX).join(''))
    if (lines.length > LINES_MAX) process.stdout.write(`  and ${lines.length - LINES_MAX} more\n`)
  }
}

function rulesNamed({ alerts }: Settings, name: string | undefined): readonly Rule[] {
  const rules = alerts.rules.map(({ rule }) => rule)
  if (rules.length === 0) throw invalid('There are no rules: set alerts.rules.')
  if (name === undefined) return rules
  const named = rules.filter((rule) => rule.name === name)
  if (named.length > 0) return named
  const names = rules.map((rule) => rule.name)
  const text = suggestion(name, names) || `; there are ${names.slice(0, 20).join(', ')}`
  throw invalid(`There is no rule ${plain(name)} in alerts.rules${text}${text.endsWith('?') ? '' : '.'}`)
}

function sentenceOf({ alert, is, mark, group, value }: Transition, tailnet: string): string {
  return is === 'firing'
    ? renderSummary(alert.rule, { tailnet, group, value })
    : renderSummary(alert.rule, { tailnet, group, value: mark.firedValue, over: mark })
}
