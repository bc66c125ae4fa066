/** `tailflux grafana export` as a process: files for Grafana's provisioning, and a check for CI that they are those of the settings. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { CONTACT_POINT_FILE, RULES_FILE, uidOf } from '../../src/alerts/export/grafana.ts'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const NODE = { name: 'node-egress', above: '20GB', window: '1h' }
const EXIT = { name: 'exit-busy', by: 'exitNode', above: '200Mbps', window: '5m', for: '10m' }
const NEW = { name: 'new-pair', newFor: '30d' }
const SECRET = 'geheim-1234567890'

interface Place {
  readonly out: string
  /** Writes the settings. */
  rules(rules: readonly object[], grafana?: object): Promise<void>
  run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>
  read(name?: string): Promise<{
    groups?: { rules: { uid: string; title: string; data: { model: { query?: string } }[] }[] }[]
    deleteRules?: { uid: string }[]
    contactPoints?: { name: string; receivers: { settings: { url: string } }[] }[]
  }>
}

async function place(t: TestContext): Promise<Place> {
  const dir = temporaryFolder(t)
  const config = join(dir, 'tailflux.yaml')
  const out = join(dir, 'provisioning', 'alerting')
  return {
    out,
    async rules(rules, grafana = {}) {
      const notify = [{ webhook: 'https://example.com/hook', token: SECRET }]
      await writeFile(config, stringify({ alerts: { rules, notify, grafana } }))
    },
    run: (...args) => runCli(t, ['grafana', 'export', '-c', config, ...args]),
    read: async (name = RULES_FILE) => parse(await readFile(join(out, name), 'utf8')),
  }
}

test('export writes the files, --check agrees until the settings change, and what went away is deleted', async (t) => {
  const { out, rules, run, read } = await place(t)
  await rules([NODE, EXIT])
  const early = await run('--out', out, '--check')
  assert.equal(early.code, 1)
  assert.ok(early.stderr.includes(`${join(out, RULES_FILE)} differs from the settings; run tailflux grafana export`))
  await assert.rejects(stat(out), { code: 'ENOENT' }, '--check writes nothing')

  assert.deepEqual(await run('--out', out), { code: 0, stdout: '', stderr: '' })
  assert.deepEqual(await readdir(out), [RULES_FILE])
  const first = await read()
  assert.deepEqual(
    first.groups?.[0]?.rules.map(({ uid, title }) => [uid, title]),
    [NODE, EXIT].map((rule) => [uidOf(rule), rule.name]),
  )
  assert.match(first.groups?.[0]?.rules[0]?.data[0]?.model.query ?? '', /^SELECT .*"tailnet_node"/)
  assert.equal(first.deleteRules, undefined)
  assert.deepEqual(await run('--out', out, '--check'), { code: 0, stdout: '', stderr: '' })

  // Another threshold: the same uid, and the check says so.
  await rules([{ ...NODE, above: '30GB' }, EXIT])
  const changed = await run('--out', out, '--check')
  assert.equal(changed.code, 1)
  assert.match(changed.stderr, /differs from the settings; run tailflux grafana export --out /)
  assert.deepEqual(await read(), first, '--check writes nothing')
  assert.equal((await run('--out', out)).code, 0)
  assert.notDeepEqual(await read(), first)
  assert.equal((await run('--out', out, '--check')).code, 0)

  // A rule that went away is deleted, and stays so.
  await rules([EXIT])
  assert.equal((await run('--out', out, '--check')).code, 1)
  for (let again = 0; again < 2; again++) {
    assert.equal((await run('--out', out)).code, 0)
    const file = await read()
    assert.deepEqual(
      file.groups?.[0]?.rules.map(({ uid }) => uid),
      [uidOf(EXIT)],
    )
    assert.deepEqual(file.deleteRules, [{ orgId: 1, uid: uidOf(NODE) }])
    assert.equal((await run('--out', out, '--check')).code, 0)
  }
  // None is left, and then one comes back.
  await rules([])
  assert.equal((await run('--out', out)).code, 0)
  assert.equal((await read()).groups, undefined)
  await rules([NODE])
  assert.equal((await run('--out', out)).code, 0)
  assert.deepEqual((await read()).deleteRules, [{ orgId: 1, uid: uidOf(EXIT) }])
})

test('what only the service can judge is named, the contact point has no secret, and without a folder all is printed', async (t) => {
  const { out, rules, run, read } = await place(t)
  await rules([NODE, NEW, { name: 'people', by: ['owner', 'port'], below: '1GB' }], {
    receiver: 'net',
    contactPoint: true,
  })
  const printed = await run()
  assert.equal(printed.code, 0)
  assert.match(
    printed.stderr,
    /^tailflux: rule new-pair is not exported: .*\.\ntailflux: rule people is not exported: .*\.\n$/,
  )
  const written = await run('--out', out)
  assert.deepEqual([written.code, written.stdout, written.stderr], [0, '', printed.stderr])
  assert.deepEqual((await readdir(out)).toSorted(), [RULES_FILE, CONTACT_POINT_FILE].toSorted())
  const texts = await Promise.all([RULES_FILE, CONTACT_POINT_FILE].map((name) => readFile(join(out, name), 'utf8')))
  assert.equal(printed.stdout, `# ${RULES_FILE}\n${texts[0]}# ${CONTACT_POINT_FILE}\n${texts[1]}`)
  assert.ok(!texts.join().includes(SECRET))
  const [point] = (await read(CONTACT_POINT_FILE)).contactPoints ?? []
  assert.deepEqual([point?.name, point?.receivers[0]?.settings.url], ['net', 'https://example.com/hook'])
  // A contact point that was changed by hand is found too.
  await writeFile(join(out, CONTACT_POINT_FILE), `${texts[1]}\n`)
  const checked = await run('--out', out, '--check')
  assert.equal(checked.code, 1)
  assert.ok(checked.stderr.includes(`${join(out, CONTACT_POINT_FILE)} differs from the settings`))
})

test('what cannot be done is reported with the fix', async (t) => {
  const { out, rules, run } = await place(t)
  await rules([NODE])
  const nowhere = await run('--check')
  assert.deepEqual([nowhere.code, nowhere.stdout], [2, ''])
  assert.match(nowhere.stderr, /--check needs --out with the directory to check/)

  await mkdir(out, { recursive: true })
  await writeFile(join(out, RULES_FILE), 'groups: [')
  for (const args of [
    ['--out', out],
    ['--out', out, '--check'],
  ]) {
    const damaged = await run(...args)
    assert.deepEqual([damaged.code, damaged.stdout], [2, ''])
    assert.match(damaged.stderr, /tailflux-alert-rules\.yaml as it is cannot be read.*put it back, or remove it/)
    assert.equal(await readFile(join(out, RULES_FILE), 'utf8'), 'groups: [', 'nothing is overwritten')
  }

  await rules([{ ...NODE, above: 'much' }, { name: 'b' }])
  const faulty = await run('--out', out)
  assert.equal(faulty.code, 2)
  assert.match(
    faulty.stderr,
    /2 errors[\s\S]*rule node-egress: must be an amount[\s\S]*rule b: a rule has exactly one of/,
  )

  await rules([NODE])
  const file = join(out, 'file')
  await writeFile(file, '')
  const blocked = await run('--out', join(file, 'deeper'))
  assert.equal(blocked.code, 1, blocked.stderr)
  assert.match(blocked.stderr, /ENOTDIR|EEXIST/)
})
