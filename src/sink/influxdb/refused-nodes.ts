/** What one search knows about nodes with refused lines. Their other lines wait until those of all other nodes are written, and after many refused
 * lines in a row the search skips, so that one node costs some forty requests. */
import type { LineSpan } from '../line-protocol/line-spans.ts'

/** Refused lines of one node, found one by one, after which the rest of its lines waits. */
const APART_MIN = 3
/** Refused lines of one node in a row after which the search skips; and the number of skips after which its other lines are not tried. */
const NODE_TRIES_MAX = 24
const LEAPS_MAX = 8

export interface RefusedNodes {
  isEmpty(): boolean
  /** It took a request to find a refused line of this node. */
  found(node: string | undefined): void
  /** A line of this node was accepted. */
  taken(node: string): void
  /** Keeps the lines of nodes with several refused ones for later; returns the others. */
  withoutWaiting(lines: readonly LineSpan[]): readonly LineSpan[]
  /** The lines of one node that wait; undefined when none waits. */
  nextWaiting(): { readonly node: string; readonly lines: readonly LineSpan[] } | undefined
  /** What to do with these waiting lines of a node: send them, skip half of them, or give them up after `tries` refused lines in a row. */
  plan(
    node: string | undefined,
    lineCount: number,
  ): { readonly kind: 'send' | 'skip' } | { readonly kind: 'give-up'; readonly tries: number }
}

export function createRefusedNodes(nodeOf: (line: LineSpan) => string | undefined): RefusedNodes {
  const apart = new Map<string, LineSpan[]>()
  /** How many refused lines were found one by one, how many of them since a line of the node was accepted, and skips since. */
  const counts = new Map<string, { all: number; inRow: number; leaps: number }>()
  return {
    isEmpty: () => counts.size === 0,
    found(node) {
      if (node === undefined) return
      const { all, inRow, leaps } = counts.get(node) ?? { all: 0, inRow: 0, leaps: 0 }
      counts.set(node, { all: all + 1, inRow: inRow + 1, leaps })
      if (all + 1 >= APART_MIN && !apart.has(node)) apart.set(node, [])
    },
    taken(node) {
      const count = counts.get(node)
      if (count !== undefined) Object.assign(count, { inRow: 0, leaps: 0 })
    },
    withoutWaiting(lines) {
      if (apart.size === 0) return lines
      return lines.filter((line) => {
        const own = apart.get(nodeOf(line) ?? '')
        own?.push(line)
        return own === undefined
      })
    },
    nextWaiting() {
      for (const [node, lines] of apart) if (lines.length > 0) return { node, lines: lines.splice(0) }
      return undefined
    },
    plan(node, lineCount) {
      const count = counts.get(node ?? '')
      if (count === undefined || count.inRow < NODE_TRIES_MAX) return { kind: 'send' }
      if (lineCount <= 1 || count.leaps >= LEAPS_MAX) return { kind: 'give-up', tries: count.inRow }
      count.leaps += 1
      return { kind: 'skip' }
    },
  }
}
