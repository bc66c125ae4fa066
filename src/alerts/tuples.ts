/** What flows are about, as small numbers: the reporting node, both ends, the service port, protocol and kind. */
import { IntTable } from './int-table.ts'
import { KIND_COUNT } from './node-tally.ts'

/** Keys of a tuple in `Tuples.keys`, from `at` on. */
export const TUPLE_NODE = 0
export const TUPLE_SRC = 1
export const TUPLE_DST = 2
/** -1 for none. */
export const TUPLE_PORT = 3
/** Protocol * KIND_COUNT + kind. A protocol that is no number from 0 to 255 is 256 and the number of its text (ends.ts). */
export const TUPLE_PROTO_KIND = 4

export class Tuples extends IntTable {
  numberOf(node: number, src: number, dst: number, port: number, proto: number, kind: number): number {
    return this.rowOf(node, src, dst, port, proto * KIND_COUNT + kind)
  }
}
