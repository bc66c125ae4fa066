/** The routes that are compared on one core. */
export const ROUTES = ['line', 'parse', 'plain'] as const
export type RouteName = (typeof ROUTES)[number]

export interface RouteRun {
  readonly entries: number
  readonly cpuSeconds: number
  readonly seconds: number
}
