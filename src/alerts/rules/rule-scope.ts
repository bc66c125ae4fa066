/** Which traffic a rule looks at, in which groups, and what of it is added up. */
import { KINDS, type Kind } from '../../source/parse/message.ts'
import { isBytes } from '../amount.ts'
import type { Fault, FormType } from '../forms/form.ts'
import type { Rule } from './rule.ts'
import type { Keys } from './rule-keys.ts'
import { DIMS, type Dim, needsEdges, type Source, type Where } from './scope.ts'

type RuleScope = Pick<Rule, 'kinds' | 'by' | 'isRouter' | 'where' | 'source'>

export function scopeOf(given: Keys, form: FormType, fault: Fault): RuleScope {
  const { defaults = {} } = form
  const words = given.by ?? [defaults.by ?? 'node']
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
  const kinds = given.kind ?? defaultKinds(defaults.kind, isExit, isRouter, dims)
  if (new Set(kinds).size > 1 && !dims.has('kind')) {
    fault('kind', 'must be one, because the same bytes appear in several kinds; or add kind to `by` to keep them apart')
  }
  if (isRouter && kinds.some((kind) => kind !== (isExit ? 'exit' : 'subnet')))
    fault('kind', `must be ${isExit ? 'exit' : 'subnet'} for ${isExit ? 'exitNode' : 'subnetRouter'}`)
  if (defaults.proto !== undefined && given.where?.proto !== undefined)
    fault('where', `must not have proto: ${form.name} is about ${defaults.proto}`)
  const where: Where = {
    ...withoutUndefined(given.where ?? {}),
    ...(defaults.proto === undefined ? {} : { proto: [defaults.proto] }),
  }
  const hasEnds =
    ['src', 'dst', 'network'].some((dim) => dims.has(dim as Dim)) || where.src || where.dst || where.network
  if (kinds.includes('physical') && (hasEnds || dims.has('port') || where.port !== undefined)) {
    fault('kind', 'physical traffic has no names and service ports of the other endpoint: use virtual, subnet or exit')
  }
  const source = form.source ?? (needsEdges({ by, where }) ? 'edges' : 'nodes')
  if (isRouter && source === 'edges') {
    fault(
      'by',
      'must be node, src or dst: rows of who talked to whom by port and protocol do not say which exit node or subnet router it went through',
    )
  }
  form.check?.(given, dims, kinds, fault)
  return { kinds: [...new Set(kinds)], by, isRouter, where, source }
}

function defaultKinds(kind: Kind | undefined, isExit: boolean, isRouter: boolean, dims: ReadonlySet<Dim>): Kind[] {
  if (isRouter) return [isExit ? 'exit' : 'subnet']
  if (kind !== undefined && !dims.has('kind')) return [kind]
  return dims.has('kind') ? [...KINDS] : ['virtual']
}

export function measureOf(
  given: Keys,
  form: FormType,
  scope: { readonly by: readonly Dim[]; readonly isRouter: boolean; readonly source: Source },
  fault: Fault,
): Rule['measure'] {
  const { measures } = form
  if (measures === 'packets') {
    if (given.measure !== undefined && isBytes(given.measure))
      fault('measure', 'must be tx_pkts, rx_pkts or pkts: rejections are counted')
    return given.measure ?? 'tx_pkts'
  }
  if (measures !== 'all') {
    if (given.measure !== undefined) fault('measure', `has no meaning for ${form.name}`)
    return measures
  }
  const isCount = form.isCount?.(given) ?? false
  // Only the router itself reports here, so both directions may be added up.
  const measure = given.measure ?? (scope.isRouter ? (isCount ? 'pkts' : 'bytes') : isCount ? 'tx_pkts' : 'tx_bytes')
  if ((measure === 'bytes' || measure === 'pkts') && scope.source === 'nodes' && !scope.by.includes('node')) {
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
