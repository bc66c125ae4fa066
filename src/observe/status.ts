/** What `/api/status` and the status page show: the status of the pipeline, and what stands beside it. Times are RFC 3339 texts; no secrets. */
import type { AlertsStatus } from '../alerts/status.ts'
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import type { Handle } from '../observers/observers.ts'
import type { RollupStatus } from '../rollup/rollup.ts'
import { createEta } from './eta.ts'
import type { HealthState } from './health.ts'
import type { BackfillStatus, PipelineStatus } from './line/status.ts'
import type { Stages, StageView } from './stages.ts'
import type { Traffic, TrafficView } from './traffic/traffic.ts'

/** The status of all components together; the composition root makes it. */
export interface ServiceStatus extends Omit<PipelineStatus, 'backfill'> {
  /** Until the backlog is read, at the pace of the last minute; null when unknown. */
  readonly etaSeconds: number | null
  readonly backfill: BackfillProgress | null
  /** The service shows a simulated tailnet. */
  readonly demo: boolean
  /** Time of the next poll; null while a poll runs. */
  readonly nextPoll: string | null
  readonly live: LiveView
  /** Derived rows, and how complete what they are made of is. Absent while their observer restarts. */
  readonly rows?: RowsStatus
  /** Both absent without alert rules. */
  readonly alerts?: AlertsStatus['alerts']
  readonly alerting?: Omit<AlertsStatus, 'alerts'>
}

/** How each stage of the line is doing; and traffic of final minutes, which is absent while its reader restarts. */
interface LiveView extends Partial<TrafficView> {
  readonly stages: readonly StageView[]
}

/** How far the rows of `tailnet_edge` and `tailnet_node` are. */
export interface RowsStatus {
  /** Minutes whose rows are not settled. */
  readonly waitingMinutes: number
  /** Edges of the newest day, as the series budget counts them; null before the first minute. */
  readonly edgesOfDay: number | null
  /** The newest minute that was made; null before the first one. */
  readonly newest: {
    readonly minute: string
    /** Nodes that are connected by the device list, and those of them that report no traffic for an hour; null without a list. */
    readonly nodes: number | null
    readonly nodesSilent: number | null
    /** Edges, and those of which both sides reported. */
    readonly edges: number
    readonly edgesBoth: number
    /** Nodes whose clock is more than a minute off. */
    readonly clockOff: number
  } | null
}

/** A backfill request and its progress. */
export interface BackfillProgress extends BackfillStatus {
  /** Until it is read; null when unknown. */
  readonly etaSeconds: number | null
}

/** The answer of `/api/status`. */
export interface StatusAnswer extends ServiceStatus {
  readonly service: 'tailflux'
  readonly version: string
  /** Local clock. */
  readonly now: string
  readonly startedAt: string
  /** By monotonic time: the two texts above may lie on two sides of a jump of the clock. */
  readonly uptimeSeconds: number
  readonly health: HealthState
}

/** Puts the status together, each time that it is asked for. */
export function createStatus(deps: {
  readonly pipeline: { status(): PipelineStatus }
  readonly schedule: { next(): string | null }
  readonly stages: Pick<Stages, 'view'>
  readonly traffic: Handle<Pick<Traffic, 'view'>>
  readonly rollup: Handle<{ status(): RollupStatus }>
  readonly alerts: Handle<{ status(): AlertsStatus }> | undefined
  readonly isDemo: boolean
  readonly clock: Pick<Clock, 'monotonicMs'>
}): () => ServiceStatus {
  const backlogEta = createEta(deps.clock.monotonicMs)
  const backfillEta = createEta(deps.clock.monotonicMs)

  return () => {
    const position = deps.pipeline.status()
    const { backfill } = position
    const traffic = deps.traffic.use((one) => one.view())
    const rows = rowsStatus(deps.rollup)
    const alerting = deps.alerts?.use((one) => one.status())
    return {
      ...position,
      etaSeconds: backlogEta.of(position.backlogSeconds),
      backfill: backfill && { ...backfill, etaSeconds: backfillEta.of(backfill.missingSeconds) },
      demo: deps.isDemo,
      nextPoll: deps.schedule.next(),
      live: { stages: deps.stages.view(), ...traffic },
      ...(rows ? { rows } : {}),
      ...(alerting ? alertsView(alerting) : {}),
    }
  }
}

/** Undefined while the rollup restarts. */
export function rowsStatus(rollup: Handle<{ status(): RollupStatus }>): RowsStatus | undefined {
  return rollup.use((one) => rowsView(one.status()))
}

function rowsView({ waitingMinutes, edgesOfDay, newest }: RollupStatus): RowsStatus {
  const rows = { waitingMinutes, edgesOfDay: edgesOfDay ?? null }
  if (newest === undefined) return { ...rows, newest: null }
  const { startNs, nodes, nodesSilent, ...counts } = newest
  const completeness = { nodes: nodes ?? null, nodesSilent: nodesSilent ?? null, ...counts }
  return { ...rows, newest: { minute: isoOf(startNs), ...completeness } }
}

/** Alerts, and how alerting itself works. */
function alertsView({ alerts, ...alerting }: AlertsStatus) {
  return { alerts, alerting }
}
