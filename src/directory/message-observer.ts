/** Learns from messages who nodes are. Nodes repeat the same words every five seconds, so most are known by the parser as seen before, and are passed over. */
import type { Message, NodeInfo } from '../source/parse/message.ts'
import { entryOfNode, type NameMask } from './device-entry.ts'
import type { DeviceHistory } from './device-history.ts'
import type { DeviceVersion } from './device-version.ts'

/** Fits an Observer. A window that fails leaves what was learnt, because it stays true. */
export interface MessageObserver {
  points(window: unknown, points: unknown, message: Message): void
  done(): void
  failed(): void
}

/** Changes that one reporter may make to nodes that nobody but others knows, in a day. */
const PEER_CHANGES_MAX = 2_000

export interface MessageClaims extends MessageObserver {
  /** What was looked at before is looked at again, once, so that it counts as said again. Call every ten minutes or so. */
  renew(): void
  /** A day begins: reporters may make changes again. */
  renewLimits(): void
  /** Claims about others that were left out because their reporter had made too many, in this day. */
  readonly excess: number
}

export function createMessageClaims(deps: {
  readonly history: DeviceHistory
  /** The source clock, ns. */
  readonly nowNs: () => bigint
  /** For what is learnt at this time, ns. */
  readonly maskAt: (learntNs: bigint) => NameMask
  readonly changed: (versions: readonly DeviceVersion[]) => void
}): MessageClaims {
  const { history } = deps
  const changesOf = new Map<string, number>()
  let round = 1
  let excess = 0

  function learn(info: NodeInfo, source: 'self' | 'peer', message: Message): boolean {
    const learntNs = deps.nowNs()
    const entry = entryOfNode(info, source, message.loggedNs, deps.maskAt(learntNs))
    const versions = entry === undefined ? [] : history.learn(entry, learntNs)
    if (versions.length > 0) deps.changed(versions)
    return versions.length > 0
  }

  function learnPeer(info: NodeInfo, message: Message): void {
    if (history.outranks(info.id, 'peer', message.loggedNs)) return
    const changes = changesOf.get(message.nodeId) ?? 0
    if (changes >= PEER_CHANGES_MAX && history.newestOf(info.id) === undefined) {
      excess += 1
      return
    }
    if (learn(info, 'peer', message)) changesOf.set(message.nodeId, changes + 1)
  }

  return {
    points(_window, _points, message) {
      for (let index = 0; index < message.nodeCount; index += 1) {
        const info = message.nodes[index]!
        if (index === message.srcNode) {
          // Tailscale verifies the id of the message alone: what it says about another node is worth nothing.
          if (info.selfRound === round || info.id !== message.nodeId) continue
          info.selfRound = round
          if (!history.outranks(info.id, 'self', message.loggedNs)) learn(info, 'self', message)
        } else if (info.peerRound !== round) {
          info.peerRound = round
          learnPeer(info, message)
        }
      }
    },
    done: () => undefined,
    failed: () => undefined,
    renew() {
      round += 1
    },
    renewLimits() {
      changesOf.clear()
      excess = 0
    },
    get excess() {
      return excess
    },
  }
}
