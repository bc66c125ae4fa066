/** The real name history of a demo tailnet, in memory. */
import { systemClock } from '../../src/base/clock.ts'
import type { Names } from '../../src/directory/names.ts'
import { createNames } from '../../src/directory/sqlite-names.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { silentLog } from '../../test/helpers/silent.ts'
import type { Tailnet } from '../../test/simulator/tailnet.ts'

export function namesOf(tailnet: Tailnet, atNs: bigint): Names {
  const names = createNames(openStateFile({ path: ':memory:' }, { clock: systemClock, log: silentLog }), 'default')
  const devices = Array.from(tailnet.devices(atNs), (text) => deviceOf(JSON.parse(text), 0))
  names.observe(
    devices.filter((device) => device !== undefined),
    atNs,
  )
  names.readingBegins(atNs)
  return names
}
