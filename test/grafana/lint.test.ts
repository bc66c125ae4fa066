/** Rules of our own for dashboards. Grafana's linter knows only Prometheus. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import * as units from '@grafana/grafana-foundation-sdk/units'
import { dashboardFiles, FOLDERS } from '../../config/grafana/generate/all.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import {
  askingPanels,
  type Dashboard,
  dashboardNames,
  FOLDER,
  METRICSQL_FOLDER,
  type Panel,
  readDashboards,
  readMetricsqlDashboards,
} from './dashboards.ts'

const dashboards = readDashboards()
const UIDS = dashboards.map(({ uid }) => uid)
const KNOWN_UNITS = new Set<unknown>(Object.values(units))
/** What Grafana fills in by itself. */
const GLOBALS =
  /^(__all|__from|__to|__range_ms|__range_s|__interval|__interval_ms|__url_time_range|__value|__data|timeFilter|tag_\w+)$/
/** Keys of the schema that Grafana cannot read from files. */
const V2_KEYS = ['elements', 'layout', 'apiVersion', 'kind', 'spec', 'metadata', 'status']

test('the committed files are what the generator makes', () => {
  const committed = { dashboards: FOLDER, 'dashboards-victoriametrics': METRICSQL_FOLDER }
  assert.deepEqual(Object.keys(FOLDERS), Object.keys(committed))
  for (const [name, folder] of Object.entries(committed)) {
    const files = dashboardFiles(FOLDERS[name]!)
    assert.deepEqual(dashboardNames(folder), [...files.keys()].sort())
    for (const [file, text] of files)
      assert.equal(readFileSync(join(folder, file), 'utf8'), text, `${name}/${file}: run npm run dashboards`)
  }
})

test('npm run dashboards writes and checks', async (t) => {
  const out = temporaryFolder(t)
  const main = resolve(import.meta.dirname, '../../config/grafana/generate/main.ts')
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [main, '--out', out, ...args])
  await assert.rejects(run('--check'), /is not what the generator makes/)
  await run()
  await run('--check')
  for (const [name, folder] of [
    ['dashboards', FOLDER],
    ['dashboards-victoriametrics', METRICSQL_FOLDER],
  ] as const) {
    const written = join(out, name, 'tailflux-node.json')
    assert.equal(readFileSync(written, 'utf8'), readFileSync(join(folder, 'tailflux-node.json'), 'utf8'))
    writeFileSync(written, '{}')
    await assert.rejects(run('--check'), /tailflux-node\.json is not what the generator makes/)
    await run()
    writeFileSync(join(out, name, 'stray.json'), '{}')
    await assert.rejects(run('--check'), /stray\.json is not made by the generator/)
    rmSync(join(out, name, 'stray.json'))
  }
})

test('there are the seven dashboards, found by their uids', () => {
  assert.deepEqual(UIDS.toSorted(), [
    'tailflux-exit',
    'tailflux-health',
    'tailflux-node',
    'tailflux-overview',
    'tailflux-paths',
    'tailflux-subnet',
    'tailflux-talkers',
  ])
})

for (const dashboard of dashboards) {
  const { uid } = dashboard
  const text = JSON.stringify(dashboard)

  test(`${uid}: head`, () => {
    assert.ok(uid.length <= 40)
    assert.equal(dashboard.editable, false)
    assert.deepEqual(dashboard.tags, ['tailflux'])
    assert.match(dashboard.timepicker.nowDelay ?? '', /^[1-9]\d*m$/, 'the newest minutes are not in the database yet')
    assert.ok(dashboard.description.length > 20)
    for (const key of V2_KEYS) assert.ok(!(key in dashboard), `${key} belongs to the format that files must not have`)
    assert.deepEqual(
      dashboard.links.map(({ type, tags }) => [type, tags]),
      [['dashboards', ['tailflux']]],
    )
  })

  test(`${uid}: panels have ids of their own, do not overlap and stay on the grid`, () => {
    const ids = dashboard.panels.map(({ id }) => id)
    assert.equal(new Set(ids).size, ids.length)
    assert.ok(ids.every(Number.isInteger))
    const taken = new Map<string, number>()
    for (const { id, gridPos } of dashboard.panels) {
      assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24 && gridPos.w > 0 && gridPos.h > 0, `panel ${id}`)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.equal(taken.get(`${x} ${y}`), undefined, `panels ${id} and ${taken.get(`${x} ${y}`)} overlap`)
          taken.set(`${x} ${y}`, id)
        }
      }
    }
  })

  test(`${uid}: every panel says what it counts and in which unit`, () => {
    for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
      const what = `${uid} panel ${panel.id} (${panel.title})`
      assert.ok(panel.title.length > 2, what)
      assert.ok((panel.description ?? '').length >= 60, `${what}: description`)
      assert.match(panel.description!, /counted|[Kk]ind|report|no traffic/, `${what}: what is counted?`)
      for (const unit of unitsOf(panel)) assert.ok(KNOWN_UNITS.has(unit), `${what}: unit ${unit}`)
      if (panel.type === 'stat' || panel.type === 'timeseries') assert.ok(panel.fieldConfig?.defaults.unit, what)
    }
  })

  test(`${uid}: rates are bits/s, volumes are bytes`, () => {
    for (const panel of askingPanels(dashboard)) {
      for (const { query } of panel.targets!) {
        const unit = panel.fieldConfig!.defaults.unit
        if (/_bytes"\) (- sum\("derp_tx_bytes"\)\) )?\* 8/.test(query))
          assert.equal(unit, 'bps', `${panel.id}: ${query}`)
        if (/^SELECT sum\("\w+_bytes"\) AS/.test(query) && panel.type === 'stat')
          assert.equal(unit, 'decbytes', `${panel.id}`)
        if (/^SELECT sum\("\w+_bytes"\) AS/.test(query))
          assert.notEqual(panel.type, 'timeseries', 'a sum per interval is no rate')
      }
    }
  })

  test(`${uid}: every target asks the data source variable, within the time range`, () => {
    for (const panel of askingPanels(dashboard)) {
      assert.ok(panel.targets!.length > 0, `panel ${panel.id} asks nothing`)
      const refIds = panel.targets!.map(({ refId }) => refId)
      assert.equal(new Set(refIds).size, refIds.length)
      for (const { datasource, query, rawQuery, resultFormat } of panel.targets!) {
        const what = `${uid} panel ${panel.id}: ${query}`
        assert.equal(rawQuery, true)
        assert.equal(resultFormat, panel.type === 'table' ? 'table' : 'time_series', what)
        assert.deepEqual(datasource, { type: 'influxdb', uid: '${ds}' }, what)
        assert.deepEqual(panel.datasource, datasource, what)
        // The innermost SELECT is the one that reads points.
        const innermost = query.slice(query.lastIndexOf('SELECT'))
        assert.match(innermost, /\$timeFilter|time >= \$\{__(from|to)\}ms - .+ AND time < \$\{__(from|to)\}ms/, what)
        assert.match(innermost, /"tailnet" =~ \/\^\$tailnet\$\//, what)
        if (!query.includes('GROUP BY time(')) continue
        // Rows of a tier are as far apart as its step: a finer graph would fall to zero between them.
        const isOfTier = /\$\{(edges|nodes):raw\}/.test(query)
        assert.match(query, /GROUP BY time\(\$__interval\)/, what)
        assert.match(panel.interval ?? '', isOfTier ? /^\$(step|mean)$/ : /^[1-9]\d*[ms]$/, what)
        if (query.includes('percentile("bps"')) assert.equal(panel.interval, '$mean', what)
      }
    }
    assert.doesNotMatch(text, /"uid":"(?!\$\{|tailflux-)/, 'a data source named directly')
  })

  test(`${uid}: alerts are marked on the graphs, firing and over, and gaps, of the chosen tailnet and time`, () => {
    const { list } = dashboard.annotations
    assert.deepEqual(
      list.map(({ name, enable, iconColor }) => [name, enable, iconColor]),
      [
        ['Alerts', true, 'red'],
        ['Alerts that are over', true, 'green'],
        ['Minutes with a gap', true, 'yellow'],
      ],
    )
    for (const { datasource, target, name } of list) {
      assert.deepEqual(datasource, { type: 'influxdb', uid: '${ds}' })
      assert.match(target.query, /"tailnet" =~ \/\^\$tailnet\$\/ AND \$timeFilter$/, name)
      const selected = /^SELECT (.*) FROM "(\w+)"/.exec(target.query)
      const columns = (selected?.[1] ?? '').split(', ').map((column) => column.slice(1, -1))
      assert.deepEqual(columns, [target.titleColumn, target.textColumn, target.tagsColumn], name)
      // Grafana's backend calls a column `measurement.column`, and Grafana looks for a part of that name.
      const found = (part: string) => columns.filter((column) => `${selected?.[2]}.${column}`.includes(part))
      assert.deepEqual(
        [found(target.textColumn), found(target.tagsColumn)],
        [[target.textColumn], [target.tagsColumn]],
        name,
      )
    }
  })

  test(`${uid}: every variable in use is defined, every defined one is used`, () => {
    const names = dashboard.templating.list.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    // Links may carry variables of the dashboard that they lead to: `var-x=`.
    const used = [...text.matchAll(/\$(\w+)|\$\{(\w+)[.:}]/g)].map((match) => match[1] ?? match[2]!)
    for (const name of used) assert.ok(names.includes(name) || GLOBALS.test(name), `${name} is not defined`)
    const unused = names.filter((name) => !used.includes(name))
    // Links carry them on.
    assert.deepEqual(unused, [])
    for (const variable of dashboard.templating.list) {
      // Of the ids only those behind the chosen names.
      if (variable.includeAll && variable.name !== 'node_id') assert.equal(variable.allValue, '.*', variable.name)
      if (variable.type === 'custom')
        assert.ok(
          variable.options!.some(({ selected }) => selected),
          variable.name,
        )
    }
  })

  test(`${uid}: links lead to dashboards of ours, with variables that these have`, () => {
    const links = [...text.matchAll(/"url":"([^"]+)"/g)].map((match) => match[1]!)
    for (const link of links) {
      const [, target, query] = /^\/d\/([\w-]+)\?(.*)$/.exec(link) ?? []
      const found = dashboards.find((one) => one.uid === target)
      assert.ok(found, `${link} leads nowhere`)
      const known = found.templating.list.map(({ name }) => name)
      for (const [, name] of query!.matchAll(/var-(\w+)=/g))
        assert.ok(known.includes(name!), `${target} has no ${name}`)
      for (const [, name] of query!.matchAll(/\$\{(\w+):queryparam\}/g))
        assert.ok(known.includes(name!), `${target} has no ${name}`)
      assert.ok(query!.includes('${__url_time_range}'), `${link} forgets the time range`)
    }
  })

  test(`${uid}: tables put their columns in order by name and link the names of devices`, () => {
    for (const panel of dashboard.panels.filter(({ type }) => type === 'table')) {
      const what = `${uid} panel ${panel.id}`
      const organize = panel.transformations?.find(({ id }) => id === 'organize')
      assert.ok(organize, `${what}: Grafana gives the columns in any order`)
      const { indexByName, renameByName } = organize.options as Record<string, Record<string, unknown>>
      assert.deepEqual(
        Object.keys(indexByName!).sort(),
        [...new Set([...Object.keys(renameByName!), 'Time'])].sort(),
        what,
      )
      for (const name of Object.keys(renameByName!)) {
        assert.ok(name === 'Time' || panel.targets![0]!.query.includes(`"${name}"`), `${what}: no column ${name}`)
      }
      const named = Object.entries(renameByName!).filter(([name]) => name === 'node_name')
      for (const [, title] of named) assert.ok(linksOf(panel, String(title)), `${what}: ${title} has no link`)
      // A table of devices says which id each has.
      if (
        'node_name' in renameByName! &&
        !panel.title.includes('behind') &&
        panel.targets![0]!.query.includes('"node"')
      )
        assert.ok('node' in renameByName!, `${what}: no ids`)
      const sorted = (panel.options!['sortBy'] as { displayName: string }[])[0]!.displayName
      assert.ok(Object.values(renameByName!).includes(sorted), `${what}: sorted by ${sorted}, which is no column`)
    }
  })

  test(`${uid}: no panel adds kinds together, no sum has both sent and received`, () => {
    for (const panel of askingPanels(dashboard)) {
      for (const { query } of panel.targets!) {
        const what = `${uid} panel ${panel.id}: ${query}`
        if (!/_(bytes|pkts)"/.test(query)) continue
        const oneKind = /"kind" = '(\$kind|virtual|subnet|exit|physical)'/.test(query)
        const apart = /GROUP BY .*"kind"/.test(query)
        assert.ok(oneKind || apart, what)
        // An edge has each byte once, and so has what one device carries. Of devices that talk to each other, one sends what the other receives.
        const isOnce = /\$\{edge(s|_sums):raw\}/.test(query) || query.includes(`"role" = 'exit'`)
        if (!isOnce) assert.doesNotMatch(query, /tx_(bytes|pkts)"\) \+|\+ sum\("/, what)
        const stacked = JSON.stringify(panel.fieldConfig).includes('"mode":"normal"')
        if (stacked) assert.match(query, /"kind" = 'physical'/, `${what}: only parts of one kind may be stacked`)
      }
    }
  })

  test(`${uid}: every panel with bytes says how they are counted, and tables leave out rows of zeros`, () => {
    for (const panel of askingPanels(dashboard)) {
      const queries = panel.targets!.map(({ query }) => query)
      const what = `${uid} panel ${panel.id} (${panel.title})`
      if (queries.some((query) => /_bytes"/.test(query)))
        assert.match(panel.description!, /counted (here|once)|own (view|report)|percent of/i, what)
      const isRows = queries.some((query) => /\$\{(edges|edge_sums|nodes|flows):raw\}/.test(query))
      if (panel.type === 'table' && isRows) assert.match(queries[0]!, /\) WHERE "\w+" > 0$/, what)
      // Raw points are evidence, not what people count.
      if (queries.some((query) => query.includes('${flows:raw}')))
        assert.deepEqual([uid, panel.id], ['tailflux-node', 50])
    }
  })

  test(`${uid}: no graph over time reads all edges, and tables of all edges read longer steps`, () => {
    for (const panel of askingPanels(dashboard))
      for (const { query } of panel.targets!) {
        const isOfAll =
          query.includes(`"kind" = '$kind'`) && !/"(src|dst)_name" =~ \/\^\$(node|\{src:regex\})\$\/ AND/.test(query)
        if (query.includes('${edge')) assert.equal(query.includes('${edge_sums:raw}'), isOfAll, query)
        if (query.includes('${edge_sums:raw}')) assert.doesNotMatch(query, /GROUP BY time\(/)
        if (query.includes('${edges:raw}') && query.includes('GROUP BY time('))
          assert.match(query, /"src_name" =~ \/\^\$\{src:regex\}\$\/|"path" =~ \/\^derp-\//, query)
      }
  })

  test(`${uid}: the period before stands beside the one shown`, () => {
    const shifted = dashboard.panels.filter(({ timeShift }) => timeShift !== undefined)
    for (const panel of shifted) {
      const current = dashboard.panels.find(
        ({ gridPos, timeShift }) =>
          gridPos.y === panel.gridPos.y && gridPos.x < panel.gridPos.x && timeShift === undefined,
      )
      assert.deepEqual(
        current?.targets?.map(({ query }) => query),
        panel.targets!.map(({ query }) => query),
      )
    }
    const previous = askingPanels(dashboard).filter(({ targets }) =>
      targets!.some(({ alias }) => alias === 'previous period'),
    )
    assert.ok(previous.length > 0)
    if (uid !== 'tailflux-health') assert.equal(shifted.length, 1)
  })
}

/** Only what a language says itself may differ. */
for (const one of readMetricsqlDashboards()) {
  const other = dashboards.find(({ uid }) => uid === one.uid)!

  test(`${one.uid} in MetricsQL: the same panels in the same places`, () => {
    const looks = ({ id, type, title, gridPos, options, fieldConfig, timeShift }: Panel<unknown>) => {
      const { unit, decimals } = fieldConfig?.defaults ?? {}
      return { id, type, title, gridPos, options, unit, decimals, timeShift, overrides: fieldConfig?.overrides }
    }
    // What the directory knows is text, and VictoriaMetrics stores none.
    const isText = ({ id }: { readonly id: number }) => one.uid === 'tailflux-node' && id === 40
    assert.deepEqual(
      one.panels.filter((panel) => !isText(panel)).map(looks),
      other.panels.filter((panel) => !isText(panel)).map(looks),
    )
    assert.deepEqual(
      one.templating.list.map(({ name }) => name),
      other.templating.list.map(({ name }) => name).filter((name) => name !== 'flows'),
    )
  })

  test(`${one.uid} in MetricsQL: every target asks the data source variable, of the chosen tailnet and time`, () => {
    const text = JSON.stringify(one)
    for (const panel of askingPanels(one)) {
      for (const { expr, datasource, instant, range, format, legendFormat } of panel.targets!) {
        const what = `${one.uid} panel ${panel.id}: ${expr}`
        assert.deepEqual(datasource, { type: 'prometheus', uid: '${ds}' }, what)
        assert.deepEqual(panel.datasource, datasource, what)
        const isGraph = panel.type === 'timeseries'
        assert.deepEqual(
          [instant, range, format],
          [!isGraph, isGraph, panel.type === 'table' ? 'table' : 'time_series'],
        )
        assert.equal(legendFormat === undefined, panel.type === 'table', what)
        for (const [filter] of expr.matchAll(/\{[^{}]*?=[^{}]*(?:\{\w+:doublequote\}[^{}]*)*\}/g))
          assert.match(filter, /tailnet=~"\$tailnet"\}$/, what)
        for (const [window] of expr.replaceAll(/"[^"]*"/g, '""').matchAll(/\[[^\]]*\](?: offset [^),]*)?/g))
          assert.ok(WINDOWS.includes(window), what)
      }
    }
    const queries = askingPanels(one).flatMap(({ targets }) => targets!.map(({ expr }) => expr.length))
    assert.ok(Math.max(...queries) < 8_000, 'VictoriaMetrics takes 16 KiB')
    const names = one.templating.list.map(({ name }) => name)
    const used = [...text.matchAll(/\$(\w+)|\$\{(\w+)[.:}]/g)].map((match) => match[1] ?? match[2]!)
    for (const name of used) assert.ok(names.includes(name) || GLOBALS.test(name), `${name} is not defined`)
    assert.deepEqual(
      names.filter((name) => !used.includes(name)),
      [],
    )
    assert.match(one.timepicker.nowDelay ?? '', /^17m$/, 'rows are written 16 minutes after their minute')
  })
}
/** What a function may see: the period, the one before, and an interval from its begin. */
const WINDOWS = [
  '[${__range_ms}ms1ms]',
  '[${__range_ms}ms] offset ${__range_ms}ms1ms',
  '[$__interval] offset 1ms-$__interval',
  '[$mean] offset 1ms-$mean',
  '[${__range_ms}ms1ms:$mean]',
  '[${__range_ms}ms:$mean] offset ${__range_ms}ms1ms',
]

function unitsOf(panel: Panel<unknown>): unknown[] {
  const overrides = (panel.fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties)
  return [
    panel.fieldConfig?.defaults.unit,
    ...overrides.filter(({ id }) => id === 'unit').map(({ value }) => value),
  ].filter((unit) => unit !== undefined)
}

function linksOf(panel: Panel, title: string): boolean {
  return (panel.fieldConfig?.overrides ?? []).some(
    ({ matcher, properties }) => matcher.options === title && properties.some(({ id }) => id === 'links'),
  )
}

test('the 95th percentile, totals and the view of the reporter are there', () => {
  const with95: Dashboard[] = dashboards.filter((dashboard) => JSON.stringify(dashboard).includes('percentile('))
  assert.equal(with95.length, dashboards.length)
  for (const uid of ['tailflux-overview', 'tailflux-node', 'tailflux-talkers', 'tailflux-paths']) {
    const { panels } = dashboards.find((dashboard) => dashboard.uid === uid)!
    const has = (words: RegExp, source: string) =>
      panels.some((panel) => words.test(panel.description ?? '') && JSON.stringify(panel).includes(source))
    assert.ok(has(/Both endpoints report a connection; here it is one row/, '${edge'), uid)
    assert.ok(has(/own view|by the report of the device that sent them/, '${nodes:raw}'), uid)
  }
})
