/** The state of the components, as seen from the line. `text` is a sentence that ends with the fix. */
export interface HealthReport {
  set(
    component: 'source' | 'sink' | 'state' | 'names' | 'line' | 'clock',
    status: 'ok' | 'warning' | 'error',
    code?: string,
    text?: string,
    /** The source of the report, where a component has several; see observe/health. */
    condition?: string,
  ): void
}
