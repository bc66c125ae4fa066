/** Messages of a simulated tailnet through the real reader and flattener into an observer, window by window, as the line does it. */
import type { Observer } from '../../src/observers/observers.ts'
import type { WindowResult } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { answerOf } from '../helpers/through-the-line.ts'
import type { Tailnet } from '../simulator/tailnet.ts'

export function readInto(observer: Observer, window: PlannedWindow, tailnet: Tailnet): void {
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 2 ** 22, depthMax: 64 })
  const flattener = flattenerOf('service', 'demo')
  for (const chunk of answerOf(messagesIn(tailnet, window.fromNs, window.toNs))) {
    for (const message of reader.push(chunk)) {
      if (message.entryCount === 0) continue
      observer.points(window, flattener.flatten(message), message)
    }
  }
  reader.end()
  observer.done(window, resultOf(window))
}

export function windowOf(fromNs: bigint, toNs: bigint): PlannedWindow {
  return { fromNs, toNs, queue: 'live', pass: 1 }
}

function resultOf(window: PlannedWindow): WindowResult {
  return {
    pass: window.pass,
    doneToNs: window.toNs,
    ackedNs: window.toNs,
    serverNs: window.toNs,
    bytes: 1_000,
    messages: 10,
    entries: 20,
    points: 15,
    quarantined: 0,
    written: 15,
    rejected: 0,
    expired: 0,
    changed: true,
    isWritten: true,
    limits: [],
    sentMs: 0,
    durationMs: 5,
  }
}

/** What the API returns for a window: (from, to], so that a record on a boundary comes once. */
function messagesIn(tailnet: Tailnet, fromNs: bigint, toNs: bigint): Iterable<string> {
  return tailnet.messages(fromNs + 1n, toNs)
}
