/** For a full disk: how full it is, and which files of tailflux may be removed from it. */
import { readdirSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bytesText } from '../../base/format.ts'

/** Files of a data directory, and what the operator may do with them. */
const MAY_GO: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [/\.corrupt-/, 'is a damaged state file and can be removed'],
  [/^dead-letters$/, 'can be moved away after you have inspected it'],
  [
    /^store\.db/,
    'is the embedded store, which keeps less with shorter retention.raw, retention.minutes and retention.rest',
  ],
]

/** One sentence, without a full stop: `the disk of /data has 0 B free of 1.1 GB; dead-letters there (12.6 MB) may be moved away ...`. */
export function spaceText(dir: string): string {
  const sentences = [diskText(dir)]
  for (const [name, bytes] of contentOf(dir)) {
    const remedy = MAY_GO.find(([pattern]) => pattern.test(name))?.[1]
    if (remedy !== undefined && bytes > 0) sentences.push(`${name} there (${bytesText(bytes)}) ${remedy}`)
  }
  return sentences.join('; ')
}

function diskText(dir: string): string {
  try {
    const { bsize, blocks, bavail } = statfsSync(dir)
    return `the disk of ${dir} has ${bytesText(bavail * bsize)} free of ${bytesText(blocks * bsize)}`
  } catch {
    // The caller reports that the disk is full; its free space is additional information.
    return `the disk of ${dir} is full`
  }
}

/** Names and sizes, largest first; the size of a folder is that of the files directly in it. */
function contentOf(dir: string): (readonly [name: string, bytes: number])[] {
  try {
    return readdirSync(dir)
      .map((name) => [name, sizeOf(join(dir, name))] as const)
      .toSorted(([, one], [, other]) => other - one)
  } catch {
    return []
  }
}

function sizeOf(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found?.isDirectory()) return found?.size ?? 0
  return readdirSync(path).reduce(
    (sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}
