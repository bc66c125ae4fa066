/** Speed of the simulated tailnet, to be run by hand: `node test/simulator/speed.ts`. Prints entries per second as objects, as JSON texts and over
 * HTTP (this process is server and client), for several sizes. */
import { createSimulatedApi } from './api.ts'
import { KEY, LOGS, timeText } from './ask.ts'
import { HOUR, MINUTE, NOON, SECOND } from './ranges.ts'
import { createTailnet } from './tailnet.ts'

for (const [nodes, minutes] of [
  [50, 60],
  [1000, 10],
  [5000, 3],
  [50_000, 1],
] as const) {
  const toNs = NOON + BigInt(minutes) * MINUTE
  const lap = timer()
  const tailnet = createTailnet({ nodes })
  const madeMs = lap()
  let entries = 0
  let messages = 0
  for (const record of tailnet.records(NOON, toNs)) {
    messages += 1
    for (const list of record.entries) entries += list.length
  }
  const recordsMs = lap()
  let bytes = 0
  for (const text of tailnet.messages(NOON, toNs)) bytes += text.length
  const textsMs = lap()
  for (const _ of tailnet.messages(NOON, NOON + 30n * SECOND));
  const windowMs = lap()
  const server = createSimulatedApi(tailnet, { nowNs: () => NOON + HOUR })
  await server.start()
  const url = `${server.url}${LOGS}?start=${timeText(NOON)}&end=${timeText(toNs)}`
  const httpMs: number[] = []
  for (const encoding of ['identity', 'gzip']) {
    lap()
    const answer = await fetch(url, { headers: { authorization: KEY, 'accept-encoding': encoding } })
    for await (const _ of answer.body ?? []);
    httpMs.push(lap())
  }
  await server.stop()
  const perSecond = (ms: number) => Math.round((entries / ms) * 1000)
  console.log({
    nodes,
    madeMs: Math.round(madeMs),
    messages,
    entries,
    MB: Math.round(bytes / 1e6),
    entriesPerSecond: perSecond(recordsMs),
    asTexts: perSecond(textsMs),
    overHttp: perSecond(httpMs[0]!),
    overHttpGzip: perSecond(httpMs[1]!),
    windowOf30sMs: Math.round(windowMs),
  })
}

function timer(): () => number {
  let beganMs = performance.now()
  return () => {
    const tookMs = performance.now() - beganMs
    beganMs = performance.now()
    return tookMs
  }
}
