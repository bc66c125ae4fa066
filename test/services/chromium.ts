/** A real browser without a window: where it is, and what its process needs. */
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensure } from './servers.ts'

export interface Chromium {
  readonly path: string
  /** The whole environment for the process. */
  readonly env: NodeJS.ProcessEnv
  /** Arguments that make it run without a window, as root, and in small containers. */
  readonly args: readonly string[]
}

export async function chromium(): Promise<Chromium> {
  const { path, root } = await ensure('chromium')
  const args = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
  ]
  if (root === undefined) return { path, env: process.env, args }
  // Libraries and fonts lie beside the unpacked browser, not where the system looks for them.
  const libraries = globSync(['lib/*-linux-gnu', 'usr/lib/*-linux-gnu', 'usr/lib/*-linux-gnu/pulseaudio'], {
    cwd: root,
  })
  return {
    path,
    args,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [...libraries.map((folder) => join(root, folder)), process.env['LD_LIBRARY_PATH'] ?? '']
        .filter((folder) => folder !== '')
        .join(':'),
      FONTCONFIG_FILE: fontsOf(root),
    },
  }
}

function fontsOf(root: string): string {
  const file = join(root, 'fonts.conf')
  const cache = join(root, 'fonts-cache')
  mkdirSync(cache, { recursive: true })
  writeFileSync(
    file,
    `<?xml version="1.0"?>
<fontconfig>
  <dir>${join(root, 'usr/share/fonts')}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${cache}</cachedir>
</fontconfig>
`,
  )
  return file
}
