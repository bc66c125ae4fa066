/** How tailflux itself is doing, from what it writes to the same database: no Prometheus needed. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.

import { completenessGraphs, completenessNumbers } from './completeness.ts'
import { dashboardOf } from './frame.ts'
import { series, stat, table, text } from './panels.ts'
import { bothPeriods, type Condition, type From, overTime, select, selectAll, sum } from './query.ts'
import { common } from './variables.ts'
import { BEFORE } from './words.ts'

const FIRST: Condition = { tag: 'pass', is: '1' }
const NO_TRAFFIC = 'Figures of tailflux itself; no traffic of the tailnet is summed here.'

export function health() {
  const windows: From = { from: 'windows', where: [] }
  const firstPass: From = { from: 'windows', where: [FIRST] }
  const minutes: From = { from: 'minutes', where: [] }
  const perPass: From = { ...windows, by: ['pass'] }
  const amount = (id: number, title: string, field: string, what: string, from = firstPass) =>
    stat({
      id,
      title,
      description: `${what} ${from === firstPass ? 'First readings only, so late passes do not count them again. ' : ''}${NO_TRAFFIC} ${BEFORE}`,
      unit: 'short',
      queries: bothPeriods((of) => select(sum(field, field), of), from),
    })

  return dashboardOf({
    uid: 'tailflux-health',
    title: 'Tailnet ingestion health',
    description:
      'Is tailflux keeping up, and is what it shows complete: lag, watermark, windows, late records, silent devices.',
    variables: common(),
    bands: [
      {
        height: 4,
        panels: [
          [
            4,
            stat({
              id: 1,
              title: 'Watermark',
              description: `Everything up to here is in the database, as of the newest acknowledged window in the range. ${NO_TRAFFIC}`,
              unit: 'dateTimeFromNow',
              color: 'green',
              queries: [['watermark', select(['last("watermark") / 1000000.0', 'watermark'], windows)]],
            }),
          ],
          [
            3,
            stat({
              id: 2,
              title: 'Lag',
              description: `How far the watermark was behind the current time when the newest window was acknowledged. ${NO_TRAFFIC}`,
              unit: 'ms',
              queries: [['lag', select(['last("lag_ms")', 'lag'], firstPass)]],
            }),
          ],
          [
            4,
            amount(3, 'Messages', 'messages', 'Records of devices, about five seconds each, in acknowledged windows.'),
          ],
          [4, amount(4, 'Entries', 'entries', 'Connection entries in acknowledged windows.')],
          [4, amount(5, 'Points', 'points', 'Points made of acknowledged windows.')],
          [5, amount(6, 'Rows', 'rows', 'Rows of edges and nodes made of the minutes.', minutes)],
        ],
      },
      { title: 'Completeness', height: 4, panels: completenessNumbers() },
      { height: 7, panels: completenessGraphs() },
      {
        title: 'Keeping up',
        height: 8,
        panels: [
          [
            12,
            series({
              id: 10,
              title: 'Lag',
              description: `Largest lag per interval, at the acknowledgement of windows. It falls in a slope while a backlog is caught up. ${NO_TRAFFIC}`,
              unit: 'ms',
              interval: '1m',
              queries: [['lag', overTime(['max("lag_ms")', 'lag'], firstPass, 'none')]],
            }),
          ],
          [
            12,
            series({
              id: 11,
              title: 'Time per window',
              description: `From the request for a window to its last acknowledgement: mean and 95th percentile per interval. ${NO_TRAFFIC}`,
              unit: 'ms',
              interval: '1m',
              queries: [
                ['mean', overTime(['mean("duration_ms")', 'mean'], windows, 'none')],
                ['95th percentile', overTime(['percentile("duration_ms", 95)', 'p95'], windows, 'none')],
              ],
            }),
          ],
        ],
      },
      {
        height: 8,
        panels: [
          [
            8,
            series({
              id: 20,
              title: 'Entries per second',
              description: `By the time of the traffic, not of the reading; first readings only. A hole here is a hole in the data: compare with the gaps on the status page. ${NO_TRAFFIC}`,
              unit: 'cps',
              interval: '1m',
              queries: [['entries', overTime(['sum("entries") * 1000.0 / $__interval_ms', 'entries'], firstPass)]],
            }),
          ],
          [
            8,
            series({
              id: 21,
              title: 'Windows by pass',
              description: `Acknowledged windows per interval. Pass 0 is a backfill or a gap read again, 1 the first reading, 2 and above the late passes. ${NO_TRAFFIC}`,
              unit: 'short',
              interval: '1m',
              queries: [['pass $tag_pass', overTime(['count("messages")', 'windows'], perPass)]],
            }),
          ],
          [
            8,
            series({
              id: 22,
              title: 'Raw points and rows per minute',
              description: `Mean per minute: what the minutes were made from, and how many rows they have. Rows are fewer, because both endpoints and all records of a minute are one. ${NO_TRAFFIC}`,
              unit: 'short',
              interval: '1m',
              queries: [
                ['raw points', overTime(['mean("points")', 'points'], minutes, 'none')],
                ['rows', overTime(['mean("rows")', 'rows'], minutes, 'none')],
              ],
            }),
          ],
        ],
      },
      {
        title: 'Work',
        height: 7,
        panels: [
          [
            12,
            table({
              id: 31,
              title: 'Work by pass',
              description: `All acknowledged windows of the period. Late passes read everything again; what they add is only what came late. ${NO_TRAFFIC}`,
              query: selectAll(
                [
                  ['count("messages")', 'windows'],
                  sum('messages', 'messages'),
                  sum('entries', 'entries'),
                  sum('points', 'points'),
                  sum('duration_ms', 'duration'),
                ],
                perPass,
              ),
              columns: [
                { name: 'pass', title: 'Pass' },
                { name: 'windows', title: 'Windows', unit: 'short' },
                { name: 'messages', title: 'Messages', unit: 'short' },
                { name: 'entries', title: 'Entries', unit: 'short' },
                { name: 'points', title: 'Points', unit: 'short' },
                { name: 'duration', title: 'Time', unit: 'ms' },
              ],
              sortBy: 'Pass',
            }),
          ],
          [
            12,
            text(
              32,
              'What is not here',
              'Where to look for what is not in the database. No traffic is counted here.',
              [
                'Gaps, quarantine, refused points, API errors and the reason for a stop are on the status page of tailflux (`/`), in `/health` with the remedy,',
                'and in `/metrics` for Prometheus: `config/prometheus/tailflux.rules.yml` has alert rules for all of them.',
                '',
                'Tailscale keeps flow logs for 30 days: a lag or a gap that gets older than that is lost for good.',
              ].join('\n'),
            ),
          ],
        ],
      },
    ],
  })
}
