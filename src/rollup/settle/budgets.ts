/** The series budgets of the days whose minutes are being made, each restored from the rows that its day has already. */
import { DAY, HOUR } from '../../base/clock.ts'
import type { PartDeps } from '../deps.ts'
import { type Budget, createBudget } from '../make/budget.ts'

export interface Budgets {
  /** The budget of the day of this minute. Rejects with a CollectorError (stage `sink`), or with the signal's reason. */
  of(minuteNs: bigint): Promise<Budget>
  /** The budget of the newest day. */
  readonly newest: Budget | undefined
}

/** A day that is made again while another one goes on, and midnight. */
const DAYS_MAX = 3

export function createBudgets({
  store,
  unsettled,
  signal,
  canQuery,
}: Pick<PartDeps, 'store' | 'unsettled' | 'signal' | 'canQuery'>): Budgets {
  /** By day, the one used last at the end. */
  const days = new Map<bigint, Budget>()

  /** Edges of hours from their rows, and of hours whose rows are not there yet from those of their minutes. */
  async function restored(dayNs: bigint): Promise<Budget> {
    const budget = createBudget()
    if (!canQuery()) return budget
    budget.admit((await store.summed('tailnet_edge_1h', dayNs, dayNs + DAY, signal)).keys())
    for (const { startNs } of unsettled.all('hour'))
      if (startNs >= dayNs && startNs < dayNs + DAY)
        budget.admit((await store.summed('tailnet_edge', startNs, startNs + HOUR, signal)).keys())
    return budget
  }

  return {
    async of(minuteNs) {
      const dayNs = minuteNs - (minuteNs % DAY)
      const budget = days.get(dayNs) ?? (await restored(dayNs))
      days.delete(dayNs)
      days.set(dayNs, budget)
      for (const day of days.keys()) if (days.size > DAYS_MAX) days.delete(day)
      return budget
    },
    get newest() {
      const day = [...days.keys()].reduce<bigint | undefined>(
        (last, one) => (last === undefined || one > last ? one : last),
        undefined,
      )
      return day === undefined ? undefined : days.get(day)
    },
  }
}
