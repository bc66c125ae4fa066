/** Interim answers (100 Continue, 103 Early Hints) may come before an answer, as many as a server likes. Without a bound they fill memory and take the
 * whole event loop until the time-out for the head. */
import type { ClientRequest } from 'node:http'

/** Servers send one or two. */
const INTERIM_MAX = 20

/** Gives the request up with `HPE_TOO_MANY_INTERIM` when there are too many. Returns it. */
export function boundInterim(request: ClientRequest): ClientRequest {
  let count = 0
  request.on('information', () => {
    count += 1
    if (count <= INTERIM_MAX) return
    request.destroy(Object.assign(new Error('too many interim answers'), { code: 'HPE_TOO_MANY_INTERIM' }))
  })
  return request
}
