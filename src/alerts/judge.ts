/** Evaluates rules step by step, on the time of the minutes. A step is evaluated when everything before its end is final. A minute that is told again
 * changes the past: the groups that it touches are evaluated again from there on, so the states are the same in whatever order minutes came. */

import { setImmediate as turn } from 'node:timers/promises'
import { max } from '../base/bigint.ts'
import { MINUTE, MS } from '../base/clock.ts'
import { getOrInsert } from '../base/maps.ts'
import { type Alert, createAlert, groupOf } from './alert.ts'
import type { Completeness } from './evaluate/completeness.ts'
import { OVERFLOW } from './evaluate/groups.ts'
import type { Reading, Ring, TimeRange } from './evaluate/readings.ts'
import { cutAt, type Mark, type Marks, markBefore, NEVER, next, pruned, turnOf, withMark } from './machine.ts'
import type { Rule } from './rules/rule.ts'
import type { GroupLabels } from './summary.ts'

export interface RuleState {
  readonly reading: Reading
  readonly rule: Rule
  /** The end of the last step that was evaluated. */
  judgedNs: bigint
  /** By the group's number. */
  readonly alerts: Map<number, Alert>
  /** Groups to evaluate again, and from which step on. */
  readonly dirty: Map<number, bigint>
  /** From here on all groups are evaluated again. */
  againNs: bigint | undefined
  /** The number that tells most at the last step; NaN: none; undefined: it is not known after a start. */
  worst: number | undefined
  /** Where the evaluation began; what was seen is remembered from here on. */
  sinceNs: bigint
}

/** An alert began to fire, or ended, at the step of its mark (perhaps one long judged, when late records told so). */
export interface Transition {
  readonly alert: Alert
  /** What it was called then. */
  readonly group: GroupLabels
  readonly is: 'firing' | 'resolved'
  /** `corrected`: it was told before, with another number or begin. `refuted`: it was told before and is not so. */
  readonly change: 'new' | 'corrected' | 'refuted'
  readonly mark: Mark
  readonly value: number
}

/** Work for so long, then let the line have its turn. */
const TURN_MS = 15
/** A memory for `newFor` may have holes of so much before "never seen" means nothing. */
const UNREAD_SHARE = 20n

export function createJudge(deps: {
  readonly readings: readonly Reading[]
  readonly completeness: Pick<Completeness, 'isComplete' | 'unreadNs'>
  readonly monotonicMs: () => number
}) {
  const { completeness } = deps
  const rules = deps.readings.map(
    (reading): RuleState => ({
      reading,
      rule: reading.rule,
      ...{ judgedNs: 0n, alerts: new Map(), dirty: new Map(), againNs: undefined, worst: undefined, sinceNs: 0n },
    }),
  )
  const readers = new Map<Ring, RuleState[]>()
  for (const state of rules) for (const ring of state.reading.rings) getOrInsert(readers, ring, () => []).push(state)
  /** By range: rules with equal windows ask the same, and so do groups. */
  const completeAt = new Map<string, boolean>()
  let transitions: Transition[] = []
  let isRunning = false
  let steps = 0

  function isRead({ fromNs, toNs }: TimeRange): boolean {
    return getOrInsert(completeAt, `${fromNs} ${toNs}`, () => completeness.isComplete(fromNs, toNs))
  }

  /** The rule is not about this group any more. Who cannot say when it was seen last cannot say that either. */
  function isGone({ reading }: RuleState, id: number, atNs: bigint): boolean {
    const known = reading.knownAt(atNs)
    return known === undefined || !reading.isWanted(id) || isRead(known)
  }

  function alertOf(state: RuleState, id: number): Alert {
    const known = state.alerts.get(id)
    if (known) return known
    const { values = [], names = [] } = state.reading.view.groups.get(id) ?? {}
    const made = createAlert(state.rule, id, values, groupOf(state.rule, values, names))
    state.alerts.set(id, made)
    return made
  }

  function valueAt(state: RuleState, alert: Alert | undefined, id: number, atNs: bigint): number | undefined {
    if (state.reading.lastSeen === undefined) return state.reading.valueAt(id, atNs)
    if (alert === undefined) return undefined
    return atNs >= alert.seenNs && atNs < alert.seenNs + state.rule.windowNs ? 1 : 0
  }

  /** One step of one group. */
  function judgeOne(state: RuleState, id: number, atNs: bigint, value: number | undefined, before: Mark): Mark {
    const { rule, reading } = state
    const isNews = reading.lastSeen !== undefined
    const complete = isNews || reading.timesAt(atNs).every(isRead)
    const clear = complete && isGone(state, id, atNs) ? 'clear' : 'hold'
    const verdict = value === undefined ? clear : rule.form.verdict(value, complete, before.state === 'firing')
    const mark = next(before, atNs, verdict, rule.forNs, value ?? 0)
    if (!state.alerts.has(id) && (verdict !== 'breach' || mark === before)) return before
    const alert = alertOf(state, id)
    alert.value = value ?? 0
    if (mark !== before && before.state === 'inactive' && !isNews)
      alert.group = groupOf(rule, alert.values, reading.view.groups.get(id)?.names)
    return mark
  }

  function tell(alert: Alert, is: Transition['is'], change: Transition['change'], mark: Mark, value: number): void {
    transitions.push({ alert, group: alert.group, is, change, mark, value })
  }

  /** Visits all groups, and returns the number that tells most. */
  function worstAt({ rule, reading }: RuleState, atNs: bigint, visit?: (id: number, value: number) => void): number {
    const sign = rule.form.worst === 'least' ? -1 : 1
    let worst = Number.NaN
    reading.each(atNs, (id, value) => {
      if (!(value * sign <= worst * sign) && !Number.isNaN(value)) worst = value
      visit?.(id, value)
    })
    return worst
  }

  function judgeStep(state: RuleState, atNs: bigint): void {
    const { form } = state.rule
    const ids = new Set<number>()
    state.worst = worstAt(state, atNs, (id, value) => {
      if (form.verdict(value, true, false) === 'breach') ids.add(id)
    })
    state.judgedNs = atNs
    for (const id of state.alerts.keys()) ids.add(id)
    for (const id of ids) judgeFrom(state, id, atNs)
  }

  /** Judges a group from a step on to the newest one, as if what came late had been there in time. */
  function judgeFrom(state: RuleState, id: number, fromNs: bigint): void {
    const old = state.alerts.get(id)
    const oldMarks = old?.marks ?? ([NEVER] as const)
    const group = old?.group
    let marks = cutAt(oldMarks, fromNs)
    let before = markBefore(oldMarks, fromNs)
    const fresh = new Map<string, Turn & { value: number }>()
    for (let atNs = fromNs; atNs <= state.judgedNs; atNs += state.rule.stepNs) {
      const value = valueAt(state, old, id, atNs)
      const mark = judgeOne(state, id, atNs, value, before)
      const is = turnOf(mark, before)
      if (is) fresh.set(`${is} ${atNs}`, { is, mark, value: value ?? 0 })
      if (mark !== before) marks = withMark(marks, mark)
      before = mark
    }
    const alert = state.alerts.get(id)
    if (alert === undefined) return
    // Labels are its identity for whoever was told that it fires.
    if (group !== undefined && oldMarks.at(-1)?.state === 'firing') alert.group = group
    alert.marks = marks
    const last = marks.at(-1) ?? NEVER
    if (last.firedNs !== 0n) alert.firedValue = last.firedValue
    // In the end the same has been told in whatever order records came.
    const told = turnsFrom(oldMarks, fromNs)
    for (const [key, { is, mark }] of told) if (!fresh.has(key)) tell(alert, is, 'refuted', mark, mark.firedValue)
    for (const [key, { is, mark, value }] of fresh) {
      const was = told.get(key)?.mark
      if (was === undefined) tell(alert, is, 'new', mark, value)
      else if (was.firedNs !== mark.firedNs || was.firedValue !== mark.firedValue)
        tell(alert, is, 'corrected', mark, value)
    }
  }

  function firstStepAfter(state: RuleState, ns: bigint): bigint {
    return (ns / state.rule.stepNs + 1n) * state.rule.stepNs
  }

  /** Steps before the rule's begin are never evaluated: of their time only what came late is known. */
  function firstStepOf({ sinceNs, rule: { stepNs } }: RuleState): bigint {
    return roundedUp(sinceNs, stepNs) + stepNs
  }

  function dirty(state: RuleState, id: number, fromNs: bigint): void {
    const step = firstStepAfter(state, fromNs)
    if (step > state.judgedNs || !(state.alerts.has(id) || state.reading.isWanted(id))) return
    const known = state.dirty.get(id)
    if (known === undefined || step < known) state.dirty.set(id, step)
  }

  /** The first step that may be evaluated again for what changed at `ns`. */
  function firstStepAgain(state: RuleState, ns: bigint, horizonNs: bigint): bigint {
    return max(firstStepAfter(state, max(ns, horizonNs)), firstStepOf(state))
  }

  /** Finds what is to be evaluated again: alerts, and groups that breach by what is known now. */
  async function lookAgain(state: RuleState, horizonNs: bigint, breathe: () => Promise<void>): Promise<void> {
    const { againNs, reading, rule } = state
    state.againNs = undefined
    if (againNs === undefined) return
    for (const id of state.alerts.keys()) dirty(state, id, againNs)
    for (let atNs = firstStepAgain(state, againNs, horizonNs); atNs <= state.judgedNs; atNs += rule.stepNs) {
      reading.each(atNs, (id, value) => {
        if (rule.form.verdict(value, true, false) === 'breach') dirty(state, id, atNs - 1n)
      })
      await breathe()
    }
  }

  /** `newFor`: what was seen in final minutes, and was not seen before. */
  function look(state: RuleState, finalNs: bigint): void {
    const { rule, reading } = state
    const { memoryMs } = rule.form.needs
    if (reading.lastSeen === undefined || memoryMs === undefined) return
    const memoryNs = BigInt(memoryMs) * MS
    for (const { key, names, piece } of reading.lastSeen.take(Number(finalNs / rule.stepNs))) {
      const seenNs = BigInt(piece + 1) * rule.stepNs
      const fromNs = seenNs - memoryNs
      // Who does not remember cannot say that something is new.
      const knownNs = max(fromNs, state.sinceNs)
      const unknownNs = knownNs - fromNs + completeness.unreadNs(knownNs, max(seenNs, knownNs))
      if (unknownNs > memoryNs / UNREAD_SHARE) continue
      const values = JSON.parse(key) as string[]
      const id = reading.view.groups.idOf(values, names)
      if (id === OVERFLOW) {
        reading.view.groups.overflowed += 1
        continue
      }
      const alert = alertOf(state, id)
      alert.seenNs = seenNs
      alert.group = groupOf(rule, values, names)
      dirty(state, id, seenNs - 1n)
    }
  }

  return {
    rules,
    /** The newest step that any rule was evaluated at. */
    get judgedNs() {
      return rules.reduce((latest, state) => max(latest, state.judgedNs), 0n)
    },
    /** Nothing is to be evaluated again. */
    get isIdle() {
      return rules.every(({ dirty, againNs }) => dirty.size === 0 && againNs === undefined)
    },
    /** Steps of rules judged in the last run. */
    get steps() {
      return steps
    },
    /** Where rules without a past begin. */
    begin(atNs: bigint): void {
      for (const state of rules) {
        const { stepNs } = state.rule
        if (state.judgedNs !== 0n) continue
        state.judgedNs = roundedUp(atNs, stepNs)
        state.sinceNs = atNs
      }
    },
    /** A minute (its begin) whose steps were evaluated has other numbers now, in these groups. */
    changed(ring: Ring, startNs: bigint, ids: readonly number[]): void {
      for (const state of readers.get(ring) ?? [])
        if (startNs + MINUTE <= state.judgedNs) for (const id of ids) if (id !== OVERFLOW) dirty(state, id, startNs)
    },
    /** Everything from here on is evaluated again: minutes are complete that were not, or the states are not known to be right. */
    again(fromNs: bigint): void {
      for (const state of rules) if (state.againNs === undefined || fromNs < state.againNs) state.againNs = fromNs
    },
    /** Evaluates all that can be; gives way to others between pieces of work. Returns what changed. */
    async run(finalNs: bigint, horizonNs: bigint): Promise<readonly Transition[]> {
      if (isRunning) throw new Error('an evaluation is already running')
      isRunning = true
      transitions = []
      steps = 0
      try {
        completeAt.clear()
        let beganMs = deps.monotonicMs()
        const breathe = async () => {
          if (deps.monotonicMs() - beganMs < TURN_MS) return
          await turn()
          // Minutes may have been told meanwhile.
          completeAt.clear()
          beganMs = deps.monotonicMs()
        }
        for (const state of rules) {
          look(state, finalNs)
          // After a start some of what was evaluated may not be told again yet, and sums without it are wrong: what is to be evaluated again waits.
          if (finalNs < state.judgedNs) continue
          state.worst ??= worstAt(state, state.judgedNs)
          await lookAgain(state, horizonNs, breathe)
          for (const [id, fromNs] of [...state.dirty]) {
            state.dirty.delete(id)
            const from = firstStepAgain(state, fromNs - 1n, horizonNs)
            if (from <= state.judgedNs) judgeFrom(state, id, from)
            await breathe()
          }
        }
        for (;;) {
          // Steps in order over all rules: those that share a scope then share its sums.
          const atNs = nextOf(rules)
          if (atNs === undefined || atNs > finalNs) break
          for (const state of rules) {
            if (state.judgedNs + state.rule.stepNs !== atNs) continue
            steps += 1
            judgeStep(state, atNs)
            await breathe()
          }
        }
        for (const state of rules)
          for (const alert of state.alerts.values()) alert.marks = pruned(alert.marks, horizonNs)
        return transitions
      } finally {
        isRunning = false
      }
    },
  }
}

interface Turn {
  readonly is: Transition['is']
  readonly mark: Mark
}

/** When an alert began to fire and ended, from a step on; by what happened when. */
function turnsFrom(marks: Marks, fromNs: bigint): Map<string, Turn> {
  const turns = new Map<string, Turn>()
  let before = markBefore(marks, fromNs)
  for (const mark of marks) {
    if (mark.atNs < fromNs) continue
    const is = turnOf(mark, before)
    if (is) turns.set(`${is} ${mark.atNs}`, { is, mark })
    before = mark
  }
  return turns
}

function roundedUp(ns: bigint, stepNs: bigint): bigint {
  return ((ns + stepNs - 1n) / stepNs) * stepNs
}

function nextOf(rules: readonly RuleState[]): bigint | undefined {
  let least: bigint | undefined
  for (const { judgedNs, rule } of rules) {
    const end = judgedNs + rule.stepNs
    if (least === undefined || end < least) least = end
  }
  return least
}
