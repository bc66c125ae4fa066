/** Which traffic a rule looks at, in which groups, and what of it is added up. */
import { KINDS, type Kind } from '../../source/parse/message.ts'
import { isBytes } from '../amount.ts'
import { DIMS, type Dim, type Rule, type Where } from './rule.ts'
import type { Fault, FormName, Keys } from './rule-keys.ts'

export function scopeOf(given: Keys, name: FormName, fault: Fault): Pick<Rule, 'kinds' | 'by' | 'isRouter' | 'where'> {
  const words = given.by ?? [name === 'newFor' || name === 'distinctPortsAbove' ? 'pair' : 'node']
  const isExit = words.includes('exitNode')
  const isRouter = isExit || words.includes('subnetRouter')
  if (isExit && words.includes('subnetRouter')) fault('by', 'must be exitNode or subnetRouter, not both')
  if (words.includes('total') && words.length > 1) fault('by', 'must be total alone: it means the whole tailnet')
  const dims = new Set<Dim>()
  for (const word of words) {
    if (word === 'pair') dims.add('src').add('dst')
    else if (word === 'exitNode' || word === 'subnetRouter') dims.add('node')
    else if (word !== 'total') dims.add(word)
  }
  const by = DIMS.filter((dim) => dims.has(dim))
  const kinds = given.kind ?? defaultKinds(name, isExit, isRouter, dims)
  if (new Set(kinds).size > 1 && !dims.has('kind')) {
    fault('kind', 'must be one, because the same bytes appear in several kinds; or add kind to `by` to keep them apart')
  }
  if (isRouter && kinds.some((kind) => kind !== (isExit ? 'exit' : 'subnet')))
    fault('kind', `must be ${isExit ? 'exit' : 'subnet'} for ${isExit ? 'exitNode' : 'subnetRouter'}`)
  const where: Where = withoutUndefined(given.where ?? {})
  const hasEnds = dims.has('src') || dims.has('dst') || where.src !== undefined || where.dst !== undefined
  if (kinds.includes('physical') && (hasEnds || dims.has('port') || where.port !== undefined)) {
    fault('kind', 'physical traffic has no names and service ports of the other endpoint: use virtual, subnet or exit')
  }
  if (name === 'relayShareAbove') {
    if (kinds.some((kind) => kind !== 'physical')) fault('kind', 'must be physical: only that goes through relays')
    if (by.some((dim) => dim !== 'node' && dim !== 'owner'))
      fault('by', 'must be node, owner or total for relayShareAbove')
  }
  if (name === 'distinctPeersAbove' && dims.has('dst'))
    fault('by', 'must not have dst or pair: the peers are what is counted')
  if (name === 'distinctPortsAbove' && dims.has('port'))
    fault('by', 'must not have port: the ports are what is counted')
  if (name === 'distinctPeersAbove' && kinds.includes('physical')) fault('kind', 'must be virtual, subnet or exit')
  if (name === 'rejectedAbove' && where.proto !== undefined) fault('where', 'must not have proto: rejections are tsmp')
  return {
    kinds: [...new Set(kinds)],
    by,
    isRouter,
    where: name === 'rejectedAbove' ? { ...where, proto: ['tsmp'] } : where,
  }
}

function defaultKinds(name: FormName, isExit: boolean, isRouter: boolean, dims: ReadonlySet<Dim>): Kind[] {
  if (isRouter) return [isExit ? 'exit' : 'subnet']
  if (name === 'relayShareAbove' || name === 'silentFor') return ['physical']
  return dims.has('kind') ? [...KINDS] : ['virtual']
}

export function measureOf(
  given: Keys,
  name: FormName,
  scope: Pick<Rule, 'by' | 'isRouter'>,
  fault: Fault,
): Rule['measure'] {
  const takesNone = ['silentFor', 'newFor', 'distinctPeersAbove', 'distinctPortsAbove', 'relayShareAbove'] as FormName[]
  if (takesNone.includes(name)) {
    if (given.measure !== undefined) fault('measure', `has no meaning for ${name}`)
    return name === 'relayShareAbove' ? 'bytes' : 'tx_bytes'
  }
  if (name === 'rejectedAbove') {
    if (given.measure !== undefined && isBytes(given.measure))
      fault('measure', 'must be tx_pkts, rx_pkts or pkts: rejections are counted')
    return given.measure ?? 'tx_pkts'
  }
  const isCount = (given.above ?? given.below ?? given.quotaAbove)?.of === 'pkts'
  // Only the router itself reports here, so both directions may be added up.
  const measure = given.measure ?? (scope.isRouter ? (isCount ? 'pkts' : 'bytes') : isCount ? 'tx_pkts' : 'tx_bytes')
  if ((measure === 'bytes' || measure === 'pkts') && !scope.by.includes('node')) {
    fault(
      'measure',
      `${measure} would count traffic between two nodes twice, because both endpoints report it: use tx_${measure}`,
    )
  }
  return measure
}

function withoutUndefined(where: { [K in keyof Where]: Where[K] | undefined }): Where {
  return Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined)) as Where
}
