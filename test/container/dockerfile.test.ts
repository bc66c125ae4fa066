import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { ValidationSeverity, validate } from 'dockerfile-utils'
import { linesOf } from '../helpers/lines.ts'
import { imageConfig, ROOT, stages, TEXT } from './dockerfile.ts'

const config = imageConfig()
const [build, final] = stages()

test('the linter finds no fault in the Dockerfile', () => {
  const settings = {
    deprecatedMaintainer: ValidationSeverity.ERROR,
    directiveCasing: ValidationSeverity.ERROR,
    emptyContinuationLine: ValidationSeverity.ERROR,
    instructionCasing: ValidationSeverity.ERROR,
    instructionCmdMultiple: ValidationSeverity.ERROR,
    instructionEntrypointMultiple: ValidationSeverity.ERROR,
    instructionHealthcheckMultiple: ValidationSeverity.ERROR,
    instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
    instructionWorkdirRelative: ValidationSeverity.ERROR,
  }
  const faults = validate(TEXT, settings).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`)
  assert.deepEqual(faults, [])
  // The linter sees faults at all.
  assert.notDeepEqual(validate('FROM a\nWORKDIR app\ncmd x\nENTRYPOINT\n', settings), [])
})

test('two stages on one base, which is named by its tag and can be pinned from outside', () => {
  assert.equal(stages().length, 2)
  assert.match(TEXT, /^ARG NODE_IMAGE=node:26-slim$/m)
  for (const stage of [build!, final!]) assert.equal(stage.image, '$' + '{NODE_IMAGE}')
  assert.match(TEXT, /sha256:<digest>/, 'how to pin by digest')
})

test('production dependencies only, without install scripts', () => {
  const runs = build!.instructions.filter(({ keyword }) => keyword === 'RUN').map(({ text }) => text)
  assert.equal(runs.length, 1)
  for (const flag of ['npm ci', '--omit=dev', '--omit=optional', '--ignore-scripts'])
    assert.ok(runs[0]!.includes(flag), flag)
})

test('an unprivileged user by number, commands in exec form, one volume, a health check without curl', () => {
  assert.match(config.user, /^[1-9]\d{3,}:[1-9]\d{3,}$/)
  assert.deepEqual(config.volumes, ['/data'])
  assert.equal(config.env['TAILFLUX_DATA_DIR'], '/data')
  assert.equal(config.stopSignal, 'SIGTERM')
  assert.equal(config.entrypoint[0], 'node')
  assert.deepEqual(config.cmd, ['run'])
  assert.deepEqual(config.healthcheck, [...config.entrypoint, 'healthcheck'], 'the compile cache is that of its flags')
  assert.equal(config.healthcheck.at(-2), '/app/src/cli.js')
  assert.ok(config.env['NODE_COMPILE_CACHE']!.startsWith('/app/'))
  for (const { keyword, text } of final!.instructions) {
    assert.doesNotMatch(text, /curl|wget|apt-get|sudo|chmod 777/, keyword)
    assert.notEqual(keyword, 'ADD', 'ADD fetches and unpacks')
    if (keyword === 'ENV' || keyword === 'ARG')
      assert.doesNotMatch(text, /TOKEN|SECRET|PASSWORD|API_KEY/, 'secrets in the image')
  }
  const keywords = final!.instructions.map(({ keyword }) => keyword)
  assert.ok(keywords.lastIndexOf('COPY') < keywords.indexOf('USER'), 'files belong to root')
})

test('`tailflux` is on the PATH, with the memory settings of the service', () => {
  const link = final!.instructions.find(({ keyword, text }) => keyword === 'RUN' && text.includes('ln -s'))
  assert.match(link?.text ?? '', /ln -s \/app\/src\/cli\.js \/usr\/local\/bin\/tailflux/)
  assert.ok(statSync(resolve(ROOT, 'src/cli.js')).mode & 0o001, 'anyone may run it')
  assert.match(link?.text ?? '', /mkdir .*\/tokens/, 'a new volume there gets its owner from the image')
})

test('the build gets what the Dockerfile copies and nothing else', () => {
  const ignore = linesOf(readFileSync(resolve(ROOT, '.dockerignore'), 'utf8')).filter((line) => !line.startsWith('#'))
  assert.equal(ignore[0], '*', 'nothing gets in that is not named')
  const allowed = ignore.slice(1).map((line) => line.replace(/^!/, ''))
  const copied = [...build!.instructions, ...final!.instructions]
    .filter(({ keyword, text }) => keyword === 'COPY' && !text.startsWith('--from'))
    .flatMap(({ text }) => text.split(/\s+/).slice(0, -1))
    .map((path) => path.replace(/^\.\//, ''))
  assert.deepEqual([...new Set(copied)].sort(), allowed.toSorted())
  for (const path of copied) assert.ok(existsSync(resolve(ROOT, path)), path)
})

test('the image, npm start and the executable by itself give the same memory settings', () => {
  const text = (file: string) => readFileSync(resolve(ROOT, file), 'utf8')
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }
  const flags = ['--max-semi-space-size=1', '--no-maglev']
  for (const flag of flags) assert.ok(config.entrypoint.includes(flag), flag)
  const fill = final!.instructions.find(({ keyword, text: run }) => keyword === 'RUN' && run.startsWith('['))
  assert.ok(
    fill?.text.includes(config.entrypoint.join(' ').replace('/app/', '')),
    'the compile cache has these flags too',
  )
  assert.equal(config.env['MALLOC_ARENA_MAX'], '1')
  const start = `MALLOC_ARENA_MAX=1 node ${flags.join(' ')}`
  // exec: a shell between npm and the service would not pass on a signal.
  assert.ok(scripts['start']!.startsWith(`${start.replace(' node', ' exec node')} `))
  assert.ok(text('src/cli.js').startsWith(`#!/usr/bin/env -S ${start}\n`))
})
