/** The state file of a simulated process: the real ledger and the real names on SQLite, in memory (fast) or as a real file (which can be
 * damaged). A process dies before, inside or after a transaction; what was committed is what the next one finds. */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { openStateFile, type StateFile } from '../../src/ledger/sqlite/state-file.ts'
import { silentLog } from '../../test/helpers/silent.ts'

/** Called before each transaction: `before` dies without it, `inside` after its work and before the commit, `after` behind the commit. */
export type Fate = 'live' | 'before' | 'inside' | 'after' | 'full'

export interface SimState {
  /** What a process opens. `fate` is asked at each transaction. */
  open(clock: Clock, fate: () => Fate): StateFile
  /** The process is gone, and its lock with it. */
  released(): void
  keepCopy(): void
  /** An older copy takes its place. False when there is none. */
  restoreCopy(): boolean
  lose(): void
  /** Only real files; memory is lost instead. */
  damage(how: number): void
}

export class Dead extends Error {
  override readonly name = 'Dead'
}

export function createMemoryState(): SimState {
  let db: DatabaseSync | undefined
  let copy: Uint8Array | undefined
  return {
    open: (_clock, fate) => {
      db ??= new DatabaseSync(':memory:')
      return mortal(plain(db), fate)
    },
    released: () => undefined,
    keepCopy: () => {
      copy = db?.serialize()
    },
    restoreCopy() {
      if (copy === undefined) return false
      db = new DatabaseSync(':memory:')
      db.deserialize(copy)
      return true
    },
    lose() {
      db = undefined
    },
    damage() {
      db = undefined
    },
  }
}

/** `folder`: an empty one, best in memory. */
export function createFileState(folder: string, name: string): SimState {
  const path = join(folder, `${name}.db`)
  const copyPath = `${path}.backup`
  let file: StateFile | undefined
  const without = () => {
    for (const end of ['', '-journal']) rmSync(path + end, { force: true })
  }
  return {
    open(clock, fate) {
      file = openStateFile({ path }, { clock, log: silentLog })
      return mortal(file, fate)
    },
    released() {
      file?.close()
      file = undefined
    },
    keepCopy() {
      if (existsSync(path)) copyFileSync(path, copyPath)
    },
    restoreCopy() {
      if (!existsSync(copyPath)) return false
      without()
      copyFileSync(copyPath, path)
      return true
    },
    lose: without,
    damage(how) {
      if (!existsSync(path)) return
      const bytes = readFileSync(path)
      if (how % 4 === 0) writeFileSync(path, '')
      else if (how % 4 === 1) writeFileSync(path, bytes.subarray(0, bytes.length >> 1))
      else if (how % 4 === 2) writeFileSync(path, bytes.fill(0xee, 0, 512))
      else writeFileSync(path, bytes.fill(how & 0xff, 4096, 8192))
    },
  }
}

function plain(db: DatabaseSync): StateFile {
  return {
    path: ':memory:',
    db,
    recovered: undefined,
    transaction(work) {
      db.exec('BEGIN')
      try {
        const value = work()
        db.exec('COMMIT')
        return value
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    close: () => undefined,
  }
}

function mortal(file: StateFile, fate: () => Fate): StateFile {
  return {
    ...file,
    transaction(work) {
      const now = fate()
      if (now === 'before') throw new Dead()
      if (now === 'full') {
        throw new CollectorError('simulated: no space left', { stage: 'ledger', code: 'state_full', reaction: 'retry' })
      }
      const value = file.transaction(() => {
        const made = work()
        if (now === 'inside') throw new Dead()
        return made
      })
      if (now === 'after') throw new Dead()
      return value
    },
  }
}
