/** What the tags of a raw point say, whichever database shows them as texts. */
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { Kind } from '../source/parse/message.ts'

type RawTags = Pick<RawPoint, 'node' | 'kind' | 'proto' | 'src' | 'dst' | 'srcPort' | 'dstPort' | 'path'>

/** `tag`: the value of a tag; empty when the point has none. */
export function rawTagsOf(tag: (name: string) => string): RawTags {
  return {
    node: tag('node'),
    kind: tag('kind') as Kind,
    proto: tag('proto'),
    src: tag('src'),
    dst: tag('dst'),
    srcPort: portOf(tag('src_port')),
    dstPort: portOf(tag('dst_port')),
    path: tag('path'),
  }
}

/** -1 without a port. */
export function portOf(text: string): number {
  return text === 'none' ? -1 : Number(text)
}
