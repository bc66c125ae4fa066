/** A real Alertmanager for a service whose clock is not ours: on the way to it the times of alerts are moved by as much as that clock is away from
 * the present, because Alertmanager takes what ended in the past for over. Nothing else is touched. */
import { text } from 'node:stream/consumers'
import { startHttpServer } from '../helpers/http-server.ts'

export interface WireAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}

/** An alert that Alertmanager took; times as the service sent them. */
export interface Taken {
  readonly alert: WireAlert
  /** Its end was ahead. */
  readonly status: 'firing' | 'resolved'
  /** When Alertmanager had answered: `performance.now()`, and the clock of the service. */
  readonly atMs: number
  readonly atNs: bigint
}

export interface MovedAlertmanager extends AsyncDisposable {
  /** For the service. */
  readonly url: string
  /** Everything that was taken, repeats among it. */
  readonly taken: readonly Taken[]
  until(fits: (taken: readonly Taken[]) => boolean): Promise<void>
}

export async function moveAlertmanager(target: string, now: () => bigint): Promise<MovedAlertmanager> {
  const taken: Taken[] = []
  const server = await startHttpServer(undefined, async (request, response) => {
    const alerts = JSON.parse(await text(request)) as WireAlert[]
    const nowMs = Number(now() / 1_000_000n)
    const byMs = Date.now() - nowMs
    const moved = (time: string) => new Date(Date.parse(time) + byMs).toISOString()
    const answer = await fetch(`${target}${request.url}`, {
      method: request.method ?? 'POST',
      headers: { 'content-type': request.headers['content-type'] ?? '' },
      body: JSON.stringify(alerts.map((one) => ({ ...one, startsAt: moved(one.startsAt), endsAt: moved(one.endsAt) }))),
    })
    const said = await answer.text()
    if (answer.ok) {
      for (const alert of alerts) {
        const status = Date.parse(alert.endsAt) > nowMs ? 'firing' : 'resolved'
        taken.push({ alert, status, atMs: performance.now(), atNs: now() })
      }
    }
    response.writeHead(answer.status).end(said)
  })
  return {
    url: server.url,
    taken,
    until: (fits) => server.until(() => fits(taken)),
    [Symbol.asyncDispose]: server.close,
  }
}
