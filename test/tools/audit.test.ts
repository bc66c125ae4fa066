import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outcomeOf } from '../../tools/audit/audit.ts'

const reportOf = (vulnerabilities: Record<string, { severity: string }>) =>
  JSON.stringify({
    auditReportVersion: 2,
    vulnerabilities,
    metadata: { vulnerabilities: { low: 0, total: Object.keys(vulnerabilities).length } },
  })

test('an advisory is a failure that names the package', () => {
  const { isGood, text } = outcomeOf(reportOf({ fastify: { severity: 'high' }, pino: { severity: 'low' } }))
  assert.equal(isGood, false)
  assert.match(text, /^advisories for fastify \(high\), pino \(low\): /)
})

test('a report without advisories is good', () => {
  assert.deepEqual(outcomeOf(reportOf({})), { isGood: true, text: 'no advisories for the packages of the service' })
})

test('a registry that does not answer this is reported and no failure', () => {
  const answers: [string, RegExp][] = [
    [JSON.stringify({ message: '405 Method Not Allowed - POST https://example.com', statusCode: 405 }), /405 Method/],
    ['<html>', /<html>/],
    ['', /no answer/],
    ['null', /null/],
  ]
  for (const [output, why] of answers) {
    const { isGood, text } = outcomeOf(output)
    assert.equal(isGood, true)
    assert.match(text, /^advisories could not be asked for: /)
    assert.match(text, why)
  }
})
