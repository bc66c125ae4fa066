/** The newest entry of each device in the state file: `directory_device` (tailnet, node). It brings names back at once after a restart, and is all there is
 * where the database cannot be read. `written`: the database has acknowledged it. */
import { prepareExact } from '../base/sqlite.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import { type DeviceSource, type DeviceVersion, SOURCES } from './device-version.ts'

export interface StoredDevice {
  readonly version: DeviceVersion
  readonly isWritten: boolean
}

export interface DeviceTable {
  all(): Iterable<StoredDevice>
  /** One transaction. Throws a CollectorError (stage `ledger`). */
  save(devices: readonly StoredDevice[], forgotten: readonly string[]): void
}

/** Throws a CollectorError (stage `ledger`). */
export function createDeviceTable(
  { db, transaction }: Pick<StateFile, 'db' | 'transaction'>,
  tailnet: string,
): DeviceTable {
  transaction(() =>
    db.exec(`
CREATE TABLE IF NOT EXISTS directory_device (
  tailnet TEXT, node TEXT, valid_from INTEGER NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, os TEXT NOT NULL, addresses TEXT NOT NULL,
  source INTEGER NOT NULL, logged_ns INTEGER NOT NULL, written INTEGER NOT NULL, PRIMARY KEY (tailnet, node)) STRICT, WITHOUT ROWID;`),
  )
  const read = prepareExact(db, 'SELECT * FROM directory_device WHERE tailnet = ?')
  const put = prepareExact(db, 'INSERT OR REPLACE INTO directory_device VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
  const remove = prepareExact(db, 'DELETE FROM directory_device WHERE tailnet = ? AND node = ?')

  return {
    *all() {
      for (const row of read.iterate(tailnet)) yield storedDevice(row)
    },
    save(devices, forgotten) {
      if (devices.length === 0 && forgotten.length === 0) return
      transaction(() => {
        for (const { version, isWritten } of devices) {
          const { node, from, name, owner, os, addresses, source, loggedNs } = version
          const sourceIndex = SOURCES.indexOf(source)
          put.run(tailnet, node, from, name, owner, os, addresses.join(' '), sourceIndex, loggedNs, Number(isWritten))
        }
        for (const node of forgotten) remove.run(tailnet, node)
      })
    },
  }
}

function storedDevice(row: Record<string, unknown>): StoredDevice {
  const text = (column: string) => row[column] as string
  const version: DeviceVersion = {
    node: text('node'),
    name: text('name'),
    owner: text('owner'),
    os: text('os'),
    addresses: text('addresses').split(' ').filter(Boolean),
    source: SOURCES[Number(row['source'])] as DeviceSource,
    loggedNs: row['logged_ns'] as bigint,
    from: Number(row['valid_from']),
  }
  return { version, isWritten: row['written'] === 1n }
}
