/** Messages of a simulated tailnet through the real reader and flattener into a live view, window by window, as the line does it. */

import { createFlattener } from '../../src/flatten/flatten.ts'
import type { Points } from '../../src/flatten/points.ts'
import type { Observer } from '../../src/observers/observers.ts'
import type { WindowResult } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { answerOf } from '../helpers/through-the-line.ts'
import type { Tailnet } from '../simulator/tailnet.ts'

/** `onPoints` sees the points of each message while they are valid. */
export function readInto(
  observer: Observer,
  window: PlannedWindow,
  tailnet: Tailnet,
  outcome: 'done' | 'failed' = 'done',
  onPoints: (points: Points) => void = () => undefined,
): void {
  const names = namesOf(tailnet, window.toNs)
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 2 ** 22, depthMax: 64 })
  const flattener = createFlattener(
    { tailnet: 'demo', ports: 'service' },
    { names: { nameOf: (key) => names.get(key), version: () => 0 } },
  )
  for (const chunk of answerOf(messagesIn(tailnet, window.fromNs, window.toNs))) {
    for (const message of reader.push(chunk)) {
      if (message.entryCount === 0) continue
      const points = flattener.flatten(message)
      onPoints(points)
      observer.points(window, points, message)
    }
  }
  reader.end()
  if (outcome === 'done') observer.done(window, resultOf(window))
  else observer.failed(window)
}

export function windowOf(fromNs: bigint, toNs: bigint, more: Partial<PlannedWindow> = {}): PlannedWindow {
  return { fromNs, toNs, queue: 'live', pass: 1, ...more }
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

function namesOf(tailnet: Tailnet, atNs: bigint): Map<string, string> {
  const names = new Map<string, string>()
  for (const text of tailnet.devices(atNs)) {
    const device = deviceOf(JSON.parse(text))
    if (device) for (const key of [device.nodeId, ...device.addresses]) names.set(key, device.name)
  }
  return names
}
