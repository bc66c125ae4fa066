/** Preloaded into a service (`node --import`): alerts throw at every message while the file POISON exists, as a bug of theirs would. */
import { existsSync } from 'node:fs'
import { NodeTally } from '../../src/alerts/node-tally.ts'

const path = process.env['POISON'] ?? ''
const { headOf } = NodeTally.prototype
let isBad = existsSync(path)
setInterval(() => {
  isBad = existsSync(path)
}, 50).unref()
NodeTally.prototype.headOf = function poisoned(...args) {
  if (isBad) throw new TypeError('poisoned')
  return headOf.apply(this, args)
}
