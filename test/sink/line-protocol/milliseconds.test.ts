import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepApart } from '../../../src/sink/line-protocol/milliseconds.ts'

function changed(lines: string): string {
  const bytes = new TextEncoder().encode(lines)
  keepApart(bytes)
  return new TextDecoder().decode(bytes)
}

test('parts of a split record stay apart, in their second', () => {
  for (const [before, after] of [
    ['1785578400100000001', '1785578400101000000'],
    ['1785578400100000002', '1785578400102000000'],
    ['1793621497269450404', '1793621497123000000'],
    ['1793621497269503982', '1793621497754000000'],
    ['1785578400999999999', '1785578400997000000'],
    // Rows, and what was changed before.
    ['1785578400000000000', '1785578400000000000'],
    ['1785578400123000000', '1785578400123000000'],
  ])
    assert.equal(changed(`m,a=b x=1i ${before}\n`), `m,a=b x=1i ${after}\n`)
})

test('only times are changed, of every line, and once', () => {
  const lines = 'm,a=123456789012 x=1i 1785578400100000001\nm,a=ü\\ b x=2i,y=3i 1785578400100002003\nm x=1i\nm x=1i 1\n'
  const once = changed(lines)
  assert.equal(
    once,
    'm,a=123456789012 x=1i 1785578400101000000\nm,a=ü\\ b x=2i,y=3i 1785578400105000000\nm x=1i\nm x=1i 1\n',
  )
  assert.equal(changed(once), once)
  assert.equal(changed(''), '')
  assert.equal(changed('1234567890'), '1234567890')
})
