/** The Dockerfile, read: the stages, and what the finished image says about how it runs. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Dockerfile, DockerfileParser, type Instruction } from 'dockerfile-ast'

export const ROOT = resolve(import.meta.dirname, '../..')
export const TEXT = readFileSync(resolve(ROOT, 'Dockerfile'), 'utf8')

export interface Stage {
  readonly image: string
  readonly name: string | undefined
  readonly instructions: readonly { readonly keyword: string; readonly text: string }[]
}

export function stages(text = TEXT): Stage[] {
  const file: Dockerfile = DockerfileParser.parse(text)
  const found: { image: string; name: string | undefined; instructions: { keyword: string; text: string }[] }[] = []
  for (const instruction of file.getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      const [image = '', , name] = argumentsOf(instruction)
      found.push({ image, name, instructions: [] })
    } else found.at(-1)?.instructions.push({ keyword: instruction.getKeyword(), text: argumentText(instruction) })
  }
  return found
}

function argumentsOf(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue())
}

/** With its flags, line continuations joined. */
function argumentText(instruction: Instruction): string {
  const text = instruction.getTextContent().replaceAll(/\\\n\s*/g, '')
  return text.slice(instruction.getInstruction().length).trim()
}

export interface ImageConfig {
  readonly workdir: string
  readonly user: string
  readonly env: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly healthcheck: readonly string[]
  readonly volumes: readonly string[]
  readonly stopSignal: string
}

/** Of the last stage. */
export function imageConfig(text = TEXT): ImageConfig {
  const last = stages(text).at(-1)!
  const of = (keyword: string) => last.instructions.filter((one) => one.keyword === keyword).map((one) => one.text)
  const exec = (argument: string | undefined): string[] => (argument?.startsWith('[') ? JSON.parse(argument) : [])
  const env = Object.fromEntries(
    of('ENV')
      .flatMap((line) => line.split(/\s+/))
      .map((pair) => pair.split('=') as [string, string]),
  )
  return {
    workdir: of('WORKDIR').at(-1) ?? '/',
    user: of('USER').at(-1) ?? 'root',
    env,
    entrypoint: exec(of('ENTRYPOINT').at(-1)),
    cmd: exec(of('CMD').at(-1)),
    healthcheck: exec(
      of('HEALTHCHECK')
        .at(-1)
        ?.replace(/^.*?CMD\s+/, ''),
    ),
    volumes: of('VOLUME'),
    stopSignal: of('STOPSIGNAL').at(-1) ?? '',
  }
}
