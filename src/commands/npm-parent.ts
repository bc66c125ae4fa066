/** When npm started this process: `npx` puts a shell between them, which dies of a signal without passing it on, and npm itself may be killed. The
 * service would stay without a parent and keep the state file locked. */

const LOOK_MS = 500

/** Calls `onGone` once when the process that npm started this one with has ended. Does nothing when npm started another program, or there is no npm. */
export function watchNpm(onGone: () => void, env: NodeJS.ProcessEnv = process.env): void {
  const { npm_lifecycle_event: script = '', npm_package_name: name } = env
  if (script !== 'npx' && !(name === 'tailflux' && (script === 'start' || script === 'demo'))) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    onGone()
  }, LOOK_MS)
  timer.unref()
}
