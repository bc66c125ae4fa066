/** What the state file has of alerts in the end. */
import type { Mark } from '../../src/alerts/machine.ts'
import type { World } from './world.ts'

/** Ends the process in order. Returns the newest mark of each alert that is not quite forgotten. */
export async function endMarks(
  world: World,
): Promise<readonly (Mark & { readonly rule: string; readonly key: string })[]> {
  await world.alerts.stop()
  const rows = world.stateFile.db.prepare('SELECT rule, key, alert FROM alerts_alert').all()
  return rows.map(({ rule, key, alert }) => {
    const revive = (name: string, value: unknown) => (name.endsWith('Ns') ? BigInt(value as string) : value)
    const { marks } = JSON.parse(String(alert), revive) as { marks: readonly Mark[] }
    return { ...marks.at(-1)!, rule: String(rule), key: String(key) }
  })
}
