/** Histories that failed once, shrunken, each with what was wrong. They are played before anything random. */
import type { History } from './simulation.ts'

export const REGRESSIONS: readonly { readonly was: string; readonly history: History }[] = [
  {
    was: 'one Date header that was ahead let the watermark pass the edge',
    history: {
      steps: [
        { kind: 'api', fault: 'date_ahead', ms: 1000 },
        { kind: 'records', count: 1, delayMs: 60000 },
        { kind: 'wait', ms: 0 },
        { kind: 'kill', afterCalls: 1, takesEffect: false },
      ],
      latencyMaxMs: 0,
    },
  },
  {
    was: 'one Date header that was behind silenced the API',
    history: {
      steps: [
        { kind: 'wait', ms: 0 },
        { kind: 'api', fault: 'date_behind', ms: 1000 },
        { kind: 'wait', ms: 0 },
        { kind: 'stall', ms: 1000 },
      ],
      latencyMaxMs: 400,
    },
  },
  {
    was: 'the same, heard by a process that had just lost its state file',
    history: {
      steps: [
        { kind: 'wait', ms: 0 },
        { kind: 'api', fault: 'date_behind', ms: 1000 },
        { kind: 'stop', graceMs: 0 },
        { kind: 'state_lost' },
        { kind: 'wait', ms: 0 },
      ],
      latencyMaxMs: 0,
    },
  },
  {
    was: 'a late pass that was a second too early was made again without end',
    history: {
      steps: [
        { kind: 'wait', ms: 266486 },
        { kind: 'records', count: 1, delayMs: 0 },
        { kind: 'disk_full', ms: 874030 },
        { kind: 'state_damaged', how: 4 },
      ],
      latencyMaxMs: 0,
    },
  },
  {
    was: 'a range beyond an edge that went back was probed without end',
    history: {
      steps: [
        { kind: 'wait', ms: 553855 },
        { kind: 'records', count: 8, delayMs: 0 },
        { kind: 'db_crash', lostMs: 289018, ms: 204711 },
        { kind: 'poison', agoMs: 138013, lengthMs: 19896, ms: 365755 },
        { kind: 'state_lost' },
        { kind: 'db', fault: 'too_large', ms: 433998 },
        { kind: 'wait', ms: 223517 },
        { kind: 'jump', ms: -3071379 },
        { kind: 'wait', ms: 261105 },
        { kind: 'api', fault: 'forbidden', ms: 213737 },
        { kind: 'poison', agoMs: 529307, lengthMs: 1403, ms: 193878 },
      ],
      latencyMaxMs: 0,
    },
  },
  {
    was: 'a clock that leapt ten years ahead before any Date header was heard gave everything up as beyond the retention',
    history: {
      steps: [
        { kind: 'api', fault: 'no_date', ms: 1000 },
        { kind: 'wait', ms: 0 },
        { kind: 'jump', ms: 315360000000 },
        { kind: 'wait', ms: 0 },
        { kind: 'kill', afterCalls: 1, takesEffect: false },
      ],
      latencyMaxMs: 0,
    },
  },
]
