/** Alerts as marks on graphs: the service writes them into a real InfluxDB, and the dashboards' queries find each with its title, text and tags. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { HOUR_NS, startWorld } from '../line/world.ts'
import { startInfluxd } from '../services/influxd.ts'
import { NOON } from '../simulator/ranges.ts'
import { readDashboards } from './dashboards.ts'
import { expanded, marksOf, type View } from './grafana.ts'

interface Reported {
  readonly msg: string
  readonly rule: string
  readonly group: Readonly<Record<string, string>>
  readonly at: string
}

const TAKEN_BACK: Readonly<Record<string, string>> = {
  'alert is taken back': 'alert fires',
  'end of alert is taken back': 'alert is over',
}

/** Who it is about, and with whom. */
const SENTENCES = {
  firing: /^(.*) (?:sent|exchanged) [\d.]+ [kMG]?B in 5 min \(limit \d+ kB\)$/s,
  resolved: /^(.*) is back below the limit \(was [\d.]+ [kMG]?B in 5 min, limit \d+ kB\)$/s,
} as const

test('every alert that begins or ends is a mark on the graphs of its tailnet', async (t) => {
  const influx = await startInfluxd(t, { databases: ['flows'] })
  const { service } = await startWorld(t, { tailnet: { nodes: 40, seed: 4, hostile: true } })
  const {
    service: running,
    log,
    catchUp,
  } = service(
    {
      'influx.api': 'v1',
      'influx.db': 'flows',
      'influx.url': influx.url,
      'alerts.rules': [
        { name: 'busy', title: 'Too busy', above: '300kB', window: '5m', severity: 'critical' },
        { name: 'pairs', by: 'pair', above: '500kB', window: '5m' },
      ],
    },
    { logLevel: 'info' },
  )
  await running.start()
  await catchUp()
  // What was reported, without what late records disproved after that.
  const reported = () => {
    const all = new Map<string, Reported>()
    for (const line of log) {
      const one = JSON.parse(line) as Reported
      const msg = TAKEN_BACK[one.msg] ?? one.msg
      const key = JSON.stringify([msg, one.rule, one.group, one.at])
      if (one.msg in TAKEN_BACK) all.delete(key)
      else if (msg === 'alert fires' || msg === 'alert is over') all.set(key, one)
    }
    return [...all.values()]
  }
  const stored = async () =>
    Number(
      (await influx.query('SELECT count("title") FROM "tailflux_event" WHERE "refuted" = false', 'flows'))[0]
        ?.series?.[0]?.values[0]?.[1] ?? 0,
    )
  await eventually(
    () => `all events to be stored: ${reported().length} were reported`,
    async () => reported().length > 20 && (await stored()) === reported().length,
  )

  const { annotations, templating } = readDashboards().find(({ uid }) => uid === 'tailflux-overview')!
  const [firing, over] = annotations.list
  const view: View = {
    fromMs: Number((NOON - HOUR_NS) / 1_000_000n),
    toMs: Number((NOON + HOUR_NS) / 1_000_000n),
    values: {},
  }
  for (const [annotation, state, msg] of [
    [firing!, 'firing', 'alert fires'],
    [over!, 'resolved', 'alert is over'],
  ] as const) {
    const ask = async (values: View['values']) => {
      const query = expanded(annotation.target.query, { ...view, values }, templating.list, 60_000)
      const answer = await fetch(`${influx.url}/query?db=flows&epoch=ms&q=${encodeURIComponent(query)}`)
      return ((await answer.json()) as { results: Parameters<typeof marksOf>[0] }).results
    }
    const results = await ask({ tailnet: '$__all' })
    const marks = marksOf(results, annotation.target, 'browser')
    assert.deepEqual(marksOf(results, annotation.target, 'backend'), marks)
    assert.deepEqual(marksOf(await ask({ tailnet: 'default' }), annotation.target, 'browser'), marks)
    assert.deepEqual(marksOf(await ask({ tailnet: 'other' }), annotation.target, 'browser'), [])

    // By the service's own log: which rule, about whom, and the minute.
    const wanted = reported()
      .filter((one) => one.msg === msg)
      .map(({ rule, group, at }) => {
        const who = rule === 'busy' ? group['node_name'] : `${group['src']} and ${group['dst']}`
        return `${at.slice(0, 16)} ${rule === 'busy' ? 'Too busy' : rule}: ${state} | ${who} | alert ${rule} ${state}`
      })
    const found = marks.map(({ timeMs, title, text, tags }) => {
      const [, who] = SENTENCES[state].exec(text) ?? [text, `?? ${text}`]
      return `${new Date(timeMs).toISOString().slice(0, 16)} ${title} | ${who} | ${tags.join(' ')}`
    })
    assert.deepEqual(found.toSorted(), wanted.toSorted())
    t.diagnostic(`${state}: ${marks.length} marks, such as ${JSON.stringify(marks[0])}`)
  }
})
