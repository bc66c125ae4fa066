/** How the components are, as seen from the line. `text` is a sentence that ends with the fix. */
export interface HealthReport {
  set(
    component: 'source' | 'sink' | 'state' | 'names' | 'line' | 'clock',
    status: 'ok' | 'warning' | 'error',
    code?: string,
    text?: string,
    /** Who tells, where several know something about a component; see observe/health. */
    condition?: string,
  ): void
}
