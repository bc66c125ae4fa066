/** A flattener whose settings never change. */
import { createFlattener, type Flattener } from '../../src/flatten/flatten.ts'
import type { Ports } from '../../src/flatten/ports.ts'

export function flattenerOf(ports: Ports = 'service', tailnet = 'default'): Flattener {
  return createFlattener({ tailnetAt: () => tailnet, portsAt: () => ports })
}
