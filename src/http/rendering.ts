/** Which pages cannot be rendered, by route: one that fails is a warning of /health until it works again, and never more than that. */
import type { FastifyRequest } from 'fastify'
import type { Failures } from '../observers/failures.ts'

export interface Rendering {
  works(request: FastifyRequest): void
  failed(request: FastifyRequest, error: unknown): void
  /** For an event stream, which is one request and many pages. */
  watched(request: FastifyRequest, render: () => string): () => string
}

export function createRendering(failures: Pick<Failures, 'failed' | 'works'>): Rendering {
  function works(request: FastifyRequest): void {
    if (request.method !== 'POST') failures.works(...placeOf(request))
  }
  function failed(request: FastifyRequest, error: unknown): void {
    failures.failed(...placeOf(request), error)
  }
  return {
    works,
    failed,
    watched: (request, render) => () => {
      try {
        const text = render()
        works(request)
        return text
      } catch (error) {
        failed(request, error)
        throw error
      }
    },
  }
}

/** The component and the route of a page. */
function placeOf({ routeOptions: { url = '' } }: FastifyRequest): ['metrics' | 'page', string] {
  return [url === '/metrics' ? 'metrics' : 'page', url]
}
