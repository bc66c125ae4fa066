/** The unit file and the manifests agree with the image, the settings and the routes. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { loadSettings } from '../../src/config/load.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { imageConfig, ROOT, TEXT } from './dockerfile.ts'

const UNIT = readFileSync(join(ROOT, 'config/systemd/tailflux.service'), 'utf8')
const image = imageConfig()
const [uid, gid] = image.user.split(':').map(Number)

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Record<string, string> }
  readonly data: Record<string, string>
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> }
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[]
    readonly template: { readonly metadata: Manifest['metadata']; readonly spec: Pod }
    readonly volumeClaimTemplates: readonly Manifest[]
    readonly replicas: number
  }
}

interface Pod {
  readonly securityContext: Record<string, unknown>
  readonly volumes: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[]
  readonly containers: readonly {
    readonly image: string
    readonly env: readonly { readonly name: string; readonly value: string }[]
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
    readonly securityContext: { readonly readOnlyRootFilesystem: boolean }
    readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } }
  }[]
}

const manifests = parseAllDocuments(readFileSync(join(ROOT, 'config/kubernetes/tailflux.yaml'), 'utf8')).map(
  (document) => document.toJS() as Manifest,
)
const byKind = (kind: string) => manifests.find((one) => one.kind === kind) ?? assert.fail(kind)
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

test('the pod is what the image is made for: user, port, data, memory of its own, and probes that exist', () => {
  const { spec } = byKind('StatefulSet')
  const pod = spec.template.spec
  const [container = assert.fail('no container')] = pod.containers
  assert.equal(container.image, `tailflux:${version}`)
  assert.equal(spec.replicas, 1, 'one process owns the state')
  assert.deepEqual([pod.securityContext['runAsUser'], pod.securityContext['fsGroup']], [uid, gid])
  assert.ok(container.securityContext.readOnlyRootFilesystem)
  const [port] = container.ports
  assert.equal(port?.containerPort, Number(/^EXPOSE (\d+)$/m.exec(TEXT)?.[1]))
  const service = byKind('Service').spec.ports[0]
  assert.deepEqual([service?.port, service?.targetPort], [port?.containerPort, port?.name])
  const mounts = new Map(container.volumeMounts.map(({ name, mountPath }) => [mountPath, name]))
  assert.equal(mounts.get(image.env['TAILFLUX_DATA_DIR'] ?? ''), spec.volumeClaimTemplates[0]?.metadata.name)
  const volumes = [...pod.volumes.map(({ name }) => name), ...spec.volumeClaimTemplates.map((one) => one.metadata.name)]
  assert.deepEqual([...mounts.values()].toSorted(), volumes.toSorted())
  const { paths } = JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as { paths: object }
  for (const name of ['startup', 'liveness', 'readiness'] as const) {
    const probe = container[`${name}Probe`]?.httpGet
    assert.ok(probe && probe.path in paths && probe.port === port?.name, name)
  }
  assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  assert.deepEqual(byKind('Service').spec.selector, spec.template.metadata.labels)
})

test('the settings of the pod are valid, and its secrets are the keys that the page has', (t) => {
  const dir = temporaryFolder(t)
  const { spec } = byKind('StatefulSet').spec.template
  const secrets = spec.containers[0]?.volumeMounts.find(({ name }) => name === 'secrets')?.mountPath ?? ''
  const text = byKind('ConfigMap').data['tailflux.yaml'] ?? ''
  const names = [...text.matchAll(new RegExp(`${secrets}/(\\S+)`, 'g'))].map(([, name = '']) => name)
  assert.equal(names.length, 3)
  const page = readFileSync(join(ROOT, 'docs/production.md'), 'utf8')
  mkdirSync(join(dir, 'secrets'))
  for (const name of names) {
    assert.ok(page.includes(`--from-literal=${name}=`), name)
    writeFileSync(join(dir, 'secrets', name), 'x'.repeat(32))
  }
  const path = join(dir, 'tailflux.yaml')
  writeFileSync(path, text.replaceAll(secrets, join(dir, 'secrets')))
  // As Kubernetes sets them for the Service of this name.
  const env = {
    TAILFLUX_SERVICE_HOST: '10.0.0.7',
    TAILFLUX_SERVICE_PORT: '9464',
    TAILFLUX_SERVICE_PORT_HTTP: '9464',
    TAILFLUX_PORT: 'tcp://10.0.0.7:9464',
    TAILFLUX_PORT_9464_TCP: 'tcp://10.0.0.7:9464',
    TAILFLUX_PORT_9464_TCP_ADDR: '10.0.0.7',
  }
  const { settings } = loadSettings({ path, env: { ...env, TAILFLUX_DATA_DIR: '/data' } })
  assert.equal(settings.http.host, '0.0.0.0')
  assert.ok(settings.http.token)
})

test('the unit has the memory settings of npm start, and systemd knows each of its lines', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } }
  const [, arenas, options] = /^(\S+) (?:exec )?node (.*) src\/cli\.js run$/.exec(scripts.start) ?? []
  assert.ok(UNIT.includes(`\nEnvironment=${arenas}\n`))
  assert.ok(UNIT.includes(`\nExecStart=/opt/tailflux/node_modules/.bin/node ${options} /opt/tailflux/src/cli.js run\n`))
  const names = [...UNIT.matchAll(/^LoadCredential=([^:]+):/gm)].map(([, name = '']) => name)
  for (const name of names) assert.ok(UNIT.includes(`_FILE=/run/credentials/%n/${name}\n`), name)
  assert.ok(names.length >= 2)
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
    t.diagnostic('systemd-analyze is not installed here: the lines of the unit were not looked at')
    return
  }
  const dir = temporaryFolder(t)
  const lab = execFileSync('sed', ['-E', 's#(/etc/|Directory=|%[SC]/)tailflux#\\1tailflux-lab#'], {
    input: UNIT,
  }).toString()
  assert.match(lab, /^StateDirectory=tailflux-lab$/m)
  assert.match(lab, /^Environment=TAILFLUX_DATA_DIR=%S\/tailflux-lab$/m)
  assert.match(lab, /^LoadCredential=client-secret:\/etc\/tailflux-lab\/client-secret$/m)
  for (const [name, text] of [
    ['tailflux.service', UNIT],
    ['tailflux-lab.service', lab],
  ] as const) {
    const path = join(dir, name)
    writeFileSync(path, text.replace('/opt/tailflux/node_modules/.bin/node', process.execPath))
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''], name)
  }
})
