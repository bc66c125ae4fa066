/** A mutant is a mistake that is built into one function. */
import { findDeclarations, parse } from './declarations.ts'

export interface Mutant {
  readonly name: string
  readonly file: string
  /** The function that is changed: its name in that file. A constant of the module can stand here too. */
  readonly in: string
  /** Text inside that function. How its words are spread over lines does not matter. None: `replace` begins the function's body. */
  readonly find?: string
  readonly replace: string
  /** Test files that catch it where the simulation cannot, which has no overlapping ticks and no HTTP. */
  readonly tests?: readonly string[]
}

/** The mutated text of the mutant's file. Throws an error that names the mutant when its function or its text is gone, or when what comes
 * out is not TypeScript: such a mutant would be caught by any test. */
export function mutate(source: string, mutant: Mutant): string {
  const { name, file, find, replace } = mutant
  const declarations = findDeclarations(file, source, mutant.in)
  if (declarations.length === 0) throw misfit(mutant, `${file} has no ${mutant.in}`)
  let mutated = source
  // The last one first: what stands before keeps its offsets.
  for (const { start, end, body } of declarations.toReversed()) {
    if (find === undefined) {
      if (body) mutated = `${mutated.slice(0, body.start)}\n${replace}\n${mutated.slice(body.start)}`
    } else {
      const text = mutated.slice(start, end)
      mutated = mutated.slice(0, start) + text.replace(pattern(find), () => replace) + mutated.slice(end)
    }
  }
  if (mutated === source) throw misfit(mutant, `${mutant.in} in ${file} has no ${find ?? 'body'}`)
  try {
    parse(file, mutated)
  } catch (error) {
    throw new Error(`mutant "${name}" is no longer a program`, { cause: error })
  }
  return mutated
}

function misfit({ name }: Mutant, reason: string): Error {
  return new Error(`mutant "${name}" does not fit: ${reason}. Change the mutant in tools/mutants/list/`)
}

/** Each run of white space stands for any other. */
function pattern(find: string): RegExp {
  return new RegExp(find.trim().split(/\s+/).map(RegExp.escape).join('\\s+'), 'g')
}
