/** What `tailflux replay` needs of the state file: which settings were in force when a record started, and the list of minutes whose rows are not made. */
import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../config/data-dir.ts'
import { type Settings, tailnetSource, tailnetTag } from '../config/settings.ts'
import { settingsShape } from '../config/settings-in-force.ts'
import { createSettingsHistory } from '../ledger/sqlite/settings-table.ts'
import { createLedger } from '../ledger/sqlite/sqlite-ledger.ts'
import { openStateFile, type StateFile } from '../ledger/sqlite/state-file.ts'
import { findLedger } from '../ledger/sqlite/tailnets.ts'

interface Deps {
  readonly clock: Pick<Clock, 'now'>
  readonly log: Logger
}

type History = Pick<ReturnType<typeof historyIn>, 'at'>

/** Opens the state file, until it is disposed of. Throws a CollectorError: `state_locked` when a service uses it, others. */
export function replayState(settings: Settings, deps: Deps) {
  const state = openStateFile({ path: pathsIn(settings.dataDir).state }, deps)
  const ledger = createLedger(state, ledgerId(settings, state, deps))
  return {
    history: historyIn(settings, state, deps) as History,
    /** Lists these minutes, so that their rows are made of the points that are stored now. */
    mustMake(minutes: readonly bigint[]): void {
      const listed = minutes.map((startNs) => ({ tier: 'minute', startNs }) as const)
      ledger.unsettled.must(listed, deps.clock.now())
    },
    [Symbol.dispose]: () => state.close(),
  }
}

/** The same settings without keeping the file. While a service has it, or when there is none, they are those of now. */
export function readSettingsHistory(settings: Settings, deps: Deps): History {
  const current: History = { at: () => settingsShape(settings).current }
  const { state: path } = pathsIn(settings.dataDir)
  if (!existsSync(path)) return current
  let state: StateFile
  try {
    state = openStateFile({ path, mustBeWhole: true }, deps)
  } catch (error) {
    if (!(error instanceof CollectorError)) throw error
    if (error.code === 'state_locked') {
      process.stderr.write(
        'A service uses the state file: the lines are made with the settings of now (names of tailnets, ports and masks).\n',
      )
      return current
    }
    throw error
  }
  try {
    return historyIn(settings, state, deps)
  } finally {
    state.close()
  }
}

function historyIn(settings: Settings, state: StateFile, deps: Deps) {
  return createSettingsHistory(state, ledgerId(settings, state, deps), settingsShape(settings))
}

function ledgerId(settings: Settings, state: StateFile, { log }: Deps): string {
  return findLedger(state, { source: tailnetSource(settings), name: tailnetTag(settings) }, log)
}
