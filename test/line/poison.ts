/** Preloaded into a service (`node --import`): alerts throw at every minute while the file POISON exists, as a bug of theirs would. */
import { existsSync } from 'node:fs'
import { RowNumbers } from '../../src/alerts/evaluate/row-numbers.ts'

const path = process.env['POISON'] ?? ''
const { begin } = RowNumbers.prototype
let isBad = existsSync(path)
setInterval(() => {
  isBad = existsSync(path)
}, 50).unref()
RowNumbers.prototype.begin = function poisoned() {
  if (isBad) throw new TypeError('poisoned')
  return begin.call(this)
}
