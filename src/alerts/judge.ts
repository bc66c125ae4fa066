/** Judges rules step by step, on the time that messages carry. A step is judged when everything up to its end (and a grace) was read. What
 * arrives later changes the past: the groups that it touches are judged again from there on, so the states are the same in whatever order
 * records came in. */
import { setImmediate as turn } from 'node:timers/promises'
import { max } from '../base/bigint.ts'
import { type Alert, createAlert, groupOf } from './alert.ts'
import type { Coverage } from './coverage.ts'
import { cutAt, type Mark, type Marks, markBefore, NEVER, next, pruned, turnOf, withMark } from './machine.ts'
import { createMeter, type Meter } from './meter.ts'
import type { People } from './people.ts'
import type { Rule } from './rules/rule.ts'
import type { Reading } from './scope.ts'
import { OVERFLOW } from './series.ts'
import type { Added } from './stores.ts'
import type { GroupLabels } from './summary.ts'
import { headlineOf } from './verdict.ts'

export interface RuleState {
  readonly reading: Reading
  readonly rule: Rule
  readonly meter: Meter
  /** The end of the last step that was judged. */
  judgedNs: bigint
  /** By the group's number. */
  readonly alerts: Map<number, Alert>
  /** Groups to judge again, and from which step on. */
  readonly dirty: Map<number, bigint>
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

export interface Judge {
  readonly rules: readonly RuleState[]
  /** The newest step that any rule was judged at. */
  readonly judgedNs: bigint
  /** The end of the step that comes next; undefined without rules. */
  readonly nextNs: bigint | undefined
  /** Steps of rules judged in the last run. */
  readonly steps: number
  /** Where rules without a past begin. */
  begin(atNs: bigint): void
  added(added: Added): void
  /** A stretch of time was read after steps in it had been judged without it. */
  filled(fromNs: bigint): void
  /** Judges all that can be judged; gives way to others between pieces of work. Returns what changed. */
  run(watermarkNs: bigint, horizonNs: bigint): Promise<readonly Transition[]>
}

export interface JudgeOptions {
  readonly graceNs: bigint
}

/** Work for so long, then let the line have its turn. */
const TURN_MS = 15
/** A memory for `newFor` may have holes of so much before "never seen" means nothing. */
const UNREAD_SHARE = 20n

export function createJudge(
  options: JudgeOptions,
  deps: { readings: readonly Reading[]; coverage: Coverage; people: People; monotonicMs: () => number },
): Judge {
  const { coverage, people } = deps
  const { graceNs } = options
  const rules = deps.readings
    .filter(({ rule }) => !rule.isPaused)
    .map((reading): RuleState => {
      const meter = createMeter(reading, people)
      return { reading, rule: reading.rule, meter, judgedNs: 0n, alerts: new Map(), dirty: new Map() }
    })
  const readers = readersOf(rules)
  const completeAt = new Map<string, boolean>()
  /** The same by rule and step: asked once per group otherwise. */
  const completeSteps = new Map<RuleState, Map<bigint, boolean>>()
  let transitions: Transition[] = []
  let isRunning = false
  let steps = 0

  function isComplete(state: RuleState, atNs: bigint): boolean {
    let steps = completeSteps.get(state)
    if (steps === undefined) {
      steps = new Map()
      completeSteps.set(state, steps)
    }
    let known = steps.get(atNs)
    if (known === undefined) {
      known = looksComplete(state, atNs)
      steps.set(atNs, known)
    }
    return known
  }

  function forgetCompleteness(): void {
    completeAt.clear()
    completeSteps.clear()
  }

  function looksComplete({ meter }: RuleState, atNs: bigint): boolean {
    return meter.timesAt(atNs).every((time) => time.fromNs >= meter.sinceNs && wasRead(time))
  }

  /** Rules with equal windows ask the same. */
  function wasRead({ fromNs, toNs }: { readonly fromNs: bigint; readonly toNs: bigint }): boolean {
    const key = `${fromNs} ${toNs}`
    let known = completeAt.get(key)
    if (known === undefined) {
      known = coverage.unreadNs(fromNs, toNs + graceNs) === 0n
      completeAt.set(key, known)
    }
    return known
  }

  /** The rule is not about this group any more. Who cannot say when it was seen last cannot say that either. */
  function isGone({ meter }: RuleState, id: number, atNs: bigint): boolean {
    const known = meter.knownAt(atNs)
    return known === undefined || !meter.isWanted(id) || wasRead(known)
  }

  function alertOf(state: RuleState, id: number): Alert {
    const known = state.alerts.get(id)
    if (known) return known
    const values = state.reading.scope.series.valuesOf(id)
    const made = createAlert(state.rule, id, values, groupOf(state.rule, values, people))
    state.alerts.set(id, made)
    return made
  }

  function valueAt(state: RuleState, alert: Alert | undefined, id: number, atNs: bigint): number | undefined {
    if (state.rule.old.is !== 'new') return state.meter.valueAt(id, atNs)
    if (alert === undefined) return undefined
    return atNs >= alert.seenNs && atNs < alert.seenNs + state.rule.windowNs ? 1 : 0
  }

  /** One step of one group. `value` undefined: the rule is not about it any more. */
  function judgeOne(state: RuleState, id: number, atNs: bigint, value: number | undefined, before: Mark): Mark {
    const { rule } = state
    const isFiring = before.state === 'firing'
    const complete = rule.old.is === 'new' || isComplete(state, atNs)
    const verdict =
      value === undefined
        ? complete && isGone(state, id, atNs)
          ? 'clear'
          : 'hold'
        : headlineOf(rule.old, { value, complete, isFiring })
    if (verdict !== 'breach' && !state.alerts.has(id)) return before
    const mark = next(before, atNs, verdict, rule.forNs, value ?? 0)
    if (mark === before && !state.alerts.has(id)) return before
    const alert = alertOf(state, id)
    alert.value = value ?? 0
    if (mark !== before && before.state === 'inactive' && rule.old.is !== 'new')
      alert.group = groupOf(rule, alert.values, people)
    return mark
  }

  function tell(alert: Alert, is: Transition['is'], change: Transition['change'], mark: Mark, value: number): void {
    transitions.push({ alert, group: alert.group, is, change, mark, value })
  }

  function putMarks(alert: Alert, marks: Marks): void {
    alert.marks = marks
    const { firedNs, firedValue } = marks.at(-1) ?? NEVER
    if (firedNs !== 0n) alert.firedValue = firedValue
  }

  function judgeStep(state: RuleState, atNs: bigint): void {
    const judged = new Set<number>()
    const judge = (id: number, value: number | undefined) => {
      judged.add(id)
      const marks = state.alerts.get(id)?.marks ?? ([NEVER] as const)
      const before = marks.at(-1) ?? NEVER
      const mark = judgeOne(state, id, atNs, value, before)
      const alert = state.alerts.get(id)
      if (alert === undefined || mark === before) return
      putMarks(alert, withMark(alert.marks, mark))
      const is = turnOf(mark, before)
      if (is) tell(alert, is, 'new', mark, alert.value)
    }
    if (state.rule.old.is !== 'new') state.meter.breaches(atNs, judge)
    for (const [id, alert] of [...state.alerts]) {
      if (!judged.has(id)) judge(id, valueAt(state, alert, id, atNs))
    }
    state.judgedNs = atNs
  }

  /** Judges a group again from `fromNs` on, as if what came late had been there in time. */
  function rejudge(state: RuleState, id: number, fromNs: bigint): void {
    const { stepNs } = state.rule
    const old = state.alerts.get(id)
    if (old === undefined && !state.meter.mayBreach(id, fromNs, state.judgedNs)) return
    const oldMarks = old?.marks ?? ([NEVER] as const)
    const group = old?.group
    const wasFiring = oldMarks.at(-1)?.state === 'firing'
    let marks = old ? cutAt(oldMarks, fromNs) : ([NEVER] as const)
    let before = markBefore(oldMarks, fromNs)
    const fresh = new Map<string, Turn & { value: number }>()
    for (let atNs = fromNs; atNs <= state.judgedNs; atNs += stepNs) {
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
    if (group !== undefined && wasFiring) alert.group = group
    putMarks(alert, marks)
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

  /** Steps before all that was read are never judged: of their time only what came late is known. */
  function firstStepOf({ rule: { stepNs } }: RuleState): bigint {
    return roundedUp(coverage.sinceNs ?? 0n, stepNs) + stepNs
  }

  function dirty(state: RuleState, id: number, fromNs: bigint): void {
    const step = firstStepAfter(state, fromNs)
    if (step > state.judgedNs || !(state.alerts.has(id) || state.meter.isWanted(id))) return
    const known = state.dirty.get(id)
    if (known === undefined || step < known) state.dirty.set(id, step)
  }

  /** `newFor`: what was seen up to the watermark, and was not seen before. */
  function look(state: RuleState, watermarkNs: bigint): void {
    const { rule, reading } = state
    const { seen } = reading
    if (rule.old.is !== 'new' || seen === undefined) return
    const memoryNs = BigInt(rule.old.memoryMs) * 1_000_000n
    for (const { key, names, piece } of seen.sightings.take(Number((watermarkNs - graceNs) / rule.stepNs))) {
      const seenNs = BigInt(piece + 1) * rule.stepNs
      const fromNs = seenNs - memoryNs
      // Who does not remember cannot say that something is new.
      if (fromNs < seen.sinceNs || coverage.unreadNs(fromNs, seenNs) > memoryNs / UNREAD_SHARE) continue
      const values = JSON.parse(key) as string[]
      const id = reading.scope.series.idOf(values)
      if (id === OVERFLOW) continue
      const alert = alertOf(state, id)
      alert.seenNs = seenNs
      alert.group = groupOf(rule, values, people, names)
      dirty(state, id, seenNs - 1n)
    }
  }

  return {
    rules,
    get judgedNs() {
      return rules.reduce((latest, state) => max(latest, state.judgedNs), 0n)
    },
    get nextNs() {
      return nextOf(rules)
    },
    get steps() {
      return steps
    },
    begin(atNs) {
      for (const state of rules) {
        const { stepNs } = state.rule
        if (state.judgedNs === 0n) state.judgedNs = roundedUp(atNs, stepNs)
      }
    },
    added({ part, fromNs, ids }) {
      for (const state of readers.get(part) ?? []) for (const id of ids) dirty(state, id, fromNs)
    },
    filled(fromNs) {
      for (const state of rules) {
        const ids = new Set(state.alerts.keys())
        const { is } = state.rule.old
        // Above a threshold a gap hid nothing that is not added now; these could not be judged at all.
        if (is !== 'above' && is !== 'quota' && is !== 'distinct' && is !== 'new')
          for (const id of state.reading.scope.series.ids()) ids.add(id)
        for (const id of ids) dirty(state, id, fromNs)
      }
    },
    async run(watermarkNs, horizonNs) {
      if (isRunning) throw new Error('an evaluation is already running')
      isRunning = true
      transitions = []
      steps = 0
      try {
        forgetCompleteness()
        let beganMs = deps.monotonicMs()
        const breathe = async () => {
          if (deps.monotonicMs() - beganMs < TURN_MS) return
          await turn()
          // Windows may have been done meanwhile.
          forgetCompleteness()
          beganMs = deps.monotonicMs()
        }
        for (const state of rules) {
          look(state, watermarkNs)
          for (const [id, fromNs] of [...state.dirty]) {
            state.dirty.delete(id)
            const from = max(fromNs, firstStepAfter(state, horizonNs), firstStepOf(state))
            if (from <= state.judgedNs) rejudge(state, id, from)
            await breathe()
          }
        }
        for (;;) {
          // Steps in order over all rules: those that share a scope then share its sums.
          const atNs = nextOf(rules)
          if (atNs === undefined || atNs + graceNs > watermarkNs) break
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

/** Which rules read a part of a scope. */
function readersOf(rules: readonly RuleState[]): Map<Added['part'], RuleState[]> {
  const readers = new Map<Added['part'], RuleState[]>()
  for (const state of rules) {
    const { main, derp, present, distinct } = state.reading
    for (const part of [main, derp, present, distinct]) {
      if (part !== undefined) readers.set(part, [...(readers.get(part) ?? []), state])
    }
  }
  return readers
}
