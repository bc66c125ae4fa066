/** Rows as they were made, from rows as they are stored. */
import type { Kind } from '../../source/parse/message.ts'
import { type Endpoint, NONE, OTHER } from './endpoints.ts'
import type { EdgeRow, NodeRow, Role } from './row.ts'
import { EDGE, NODE, type Shape, unescapedTags } from './row-table.ts'

/** `isKnown`: the directory has a node of this id. Ids that Tailscale gives are taken for nodes in any case. */
export function edgeOf(key: string, fields: readonly bigint[], isKnown: (id: string) => boolean): EdgeRow {
  const tags = tagsOf(EDGE, key)
  const [txBytes = 0n, rxBytes = 0n, txPkts = 0n, rxPkts = 0n, flows = 0n, reporters = 0n] = fields
  const endpoint = (side: 'src' | 'dst'): Endpoint => {
    const id = tags.get(side) ?? NONE
    return {
      id,
      name: tags.get(`${side}_name`) ?? id,
      owner: tags.get(`${side}_owner`) ?? NONE,
      isNode: isNode(id, isKnown),
    }
  }
  return {
    kind: tags.get('kind') as Kind,
    proto: tags.get('proto') ?? NONE,
    port: tags.get('port') ?? NONE,
    path: tags.get('path') ?? NONE,
    src: endpoint('src'),
    dst: endpoint('dst'),
    ...{ txBytes, rxBytes, txPkts, rxPkts, flows, reporters: Number(reporters) },
  }
}

export function nodeOf(key: string, fields: readonly bigint[]): NodeRow {
  const tags = tagsOf(NODE, key)
  const [
    txBytes = 0n,
    rxBytes = 0n,
    txPkts = 0n,
    rxPkts = 0n,
    flows = 0n,
    peers = 0n,
    derpTxBytes = 0n,
    derpRxBytes = 0n,
  ] = fields
  const id = tags.get('node') ?? NONE
  return {
    node: { id, name: tags.get('node_name') ?? id, owner: tags.get('owner') ?? NONE, isNode: true },
    os: tags.get('os') ?? NONE,
    kind: tags.get('kind') as Kind,
    role: tags.get('role') as Role,
    ...{ txBytes, rxBytes, txPkts, rxPkts, flows, peers: Number(peers), derpTxBytes, derpRxBytes },
  }
}

function tagsOf({ tags }: Shape, key: string): ReadonlyMap<string, string> {
  const values = unescapedTags(key)
  return new Map(tags.map((name, i) => [name, values[i] ?? '']))
}

function isNode(id: string, isKnown: (id: string) => boolean): boolean {
  return id !== NONE && id !== OTHER.id && (/^n\w+CNTRL$/.test(id) || isKnown(id))
}
