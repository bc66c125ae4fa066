/** Finds functions and other named declarations of a source by its syntax tree. */
import { parseSync } from 'oxc-parser'

/** A part of a source: offsets of its characters. */
interface Span {
  readonly start: number
  readonly end: number
}

export interface Declaration extends Span {
  /** Between the braces of a function. None: it is no function, or one without braces. */
  readonly body: Span | undefined
}

interface Node extends Span {
  readonly type: string
  readonly id?: { readonly name?: string } | null
  readonly key?: { readonly name?: string; readonly value?: unknown }
  readonly value?: unknown
  readonly init?: unknown
  readonly body?: unknown
}

/** The syntax tree. Throws when the text is not TypeScript. */
export function parse(file: string, source: string): unknown {
  const { program, errors } = parseSync(file, source)
  const fault = errors.find((error) => error.severity === 'Error')
  if (fault) throw new Error(`${file} is not TypeScript: ${fault.message}`)
  return program
}

/** All declarations of this name in the file. What lies inside another one of the same name counts as a part of it. */
export function findDeclarations(file: string, source: string, name: string): readonly Declaration[] {
  const found: Declaration[] = []
  visit(parse(file, source))
  return found

  function visit(node: unknown): void {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node) && nameOf(node as Node) === name) {
      const { start, end } = node as Node
      found.push({ start, end, body: bodyOf(node as Node) })
      return
    }
    for (const child of Object.values(node)) visit(child)
  }
}

/** Variables and classes count with whatever they hold, members of objects and classes only when they are functions. */
function nameOf(node: Node): string | undefined {
  switch (node.type) {
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
    case 'VariableDeclarator':
      return node.id?.name
    case 'MethodDefinition':
    case 'Property':
      return isFunction(node.value) ? (node.key?.name ?? String(node.key?.value)) : undefined
    default:
      return undefined
  }
}

function bodyOf(node: Node): Span | undefined {
  const made = [node, node.value, node.init].find(isFunction)
  const block = made?.body as Node | null | undefined
  return block?.type === 'BlockStatement' ? { start: block.start + 1, end: block.end - 1 } : undefined
}

function isFunction(node: unknown): node is Node {
  return typeof node === 'object' && node !== null && /Function/.test((node as Node).type ?? '')
}
