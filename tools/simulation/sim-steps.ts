/** What can happen in a simulated history, and how often. Plain data, so that a history that failed once can be kept as it is. */
import fc from 'fast-check'
import { API_FAULTS, type ApiFault } from './sim-api.ts'
import { DB_FAULTS, type DbFault } from './sim-db.ts'

/** Times in ms of virtual time. */
export type Step =
  /** Time passes, with ticks. */
  | { kind: 'wait'; ms: number }
  /** Time passes without a tick: a schedule that does not fire, a machine that sleeps. */
  | { kind: 'stall'; ms: number }
  /** The wall clock of the service is set; the API's is not. */
  | { kind: 'jump'; ms: number }
  /** Nodes upload; the API shows it `delayMs` after it was logged. */
  | { kind: 'records'; count: number; delayMs: number }
  /** Nodes upload again what they had uploaded: another `logged`, all else the same. */
  | { kind: 'again'; count: number }
  | { kind: 'api'; fault: ApiFault; ms: number }
  /** A range of `logged` cannot be answered for. */
  | { kind: 'poison'; agoMs: number; lengthMs: number; ms: number }
  /** `isSly`: a probe without lines succeeds. */
  | { kind: 'db'; fault: DbFault; ms: number; isSly?: boolean }
  /** The process dies at its n-th call to the world from now on; the call itself may still take effect. */
  | { kind: 'kill'; afterCalls: number; takesEffect: boolean }
  /** SIGTERM: the process ends by itself, in good time or not, and another one starts. */
  | { kind: 'stop'; graceMs: number }
  | { kind: 'backup' }
  /** The database is away for a while and comes back as it was at the backup. */
  | { kind: 'restore'; ms: number }
  /** No request is refused: between two polls the database is dropped and made again, or becomes what it was at the backup. */
  | { kind: 'unseen_loss'; to: 'empty' | 'backup' }
  /** In the middle of something the database is away for some requests only, and comes back as it was at the backup. */
  | { kind: 'brief_loss'; afterRequests: number; failures: number }
  /** The database crashes and has lost what it acknowledged in the last `lostMs`. */
  | { kind: 'db_crash'; lostMs: number; ms: number }
  | { kind: 'disk_full'; ms: number }
  | { kind: 'state_copied' }
  /** An older copy of the state file takes its place. */
  | { kind: 'state_restored' }
  | { kind: 'state_lost' }
  | { kind: 'state_damaged'; how: number }
  /** From now on a second instance runs, on a state file of its own. */
  | { kind: 'second' }

const span = (min: number, max: number) => fc.integer({ min, max })
const faultMs = span(1_000, 600_000)

type Weighted = { weight: number; arbitrary: fc.Arbitrary<Step> }
function step<K extends Step['kind']>(
  weight: number,
  kind: K,
  rest: { [F in Exclude<keyof Extract<Step, { kind: K }>, 'kind'>]-?: fc.Arbitrary<Extract<Step, { kind: K }>[F]> },
): Weighted {
  const model = { kind: fc.constant(kind), ...rest } as unknown as Record<string, fc.Arbitrary<unknown>>
  return { weight, arbitrary: fc.record(model) as unknown as fc.Arbitrary<Step> }
}

/** `visibleMaxMs`: what the API shows later than this is beyond what late passes promise to find. */
export function stepsArbitrary(visibleMaxMs: number): fc.Arbitrary<Step[]> {
  const delayMs = fc.oneof(fc.constant(0), span(0, 50_000), span(60_000, visibleMaxMs))
  const one = fc.oneof(
    step(6, 'wait', { ms: span(0, 600_000) }),
    step(1, 'stall', { ms: span(1_000, 1_800_000) }),
    step(1, 'jump', { ms: fc.oneof(span(-3_600_000, 3_600_000), fc.constant(10 * 365 * 86_400_000)) }),
    step(7, 'records', { count: span(1, 12), delayMs }),
    step(1, 'again', { count: span(1, 5) }),
    step(2, 'api', { fault: fc.constantFrom(...API_FAULTS), ms: faultMs }),
    step(1, 'poison', { agoMs: span(0, 600_000), lengthMs: span(0, 60_000), ms: faultMs }),
    step(4, 'db', { fault: fc.constantFrom(...DB_FAULTS), ms: faultMs, isSly: fc.boolean() }),
    step(3, 'kill', { afterCalls: span(1, 60), takesEffect: fc.boolean() }),
    step(1, 'stop', { graceMs: fc.constantFrom(0, 8_000) }),
    step(2, 'backup', {}),
    step(2, 'restore', { ms: span(0, 300_000) }),
    step(1, 'unseen_loss', { to: fc.constantFrom<'empty' | 'backup'>('empty', 'backup') }),
    step(1, 'brief_loss', { afterRequests: span(1, 12), failures: span(1, 3) }),
    step(1, 'db_crash', { lostMs: span(0, 400_000), ms: span(0, 300_000) }),
    step(1, 'disk_full', { ms: faultMs }),
    step(1, 'state_copied', {}),
    step(1, 'state_restored', {}),
    step(1, 'state_lost', {}),
    step(1, 'state_damaged', { how: span(0, 15) }),
    step(1, 'second', {}),
  )
  return fc.array(one, { minLength: 3, maxLength: 25 })
}
