/** Columns that several tables share. */
import type { Column } from './panels.ts'
import { toNode, toNodeOf } from './words.ts'

export const nodeName: Column = { name: 'node_name', title: 'Node', link: toNode }
export const nodeId: Column = { name: 'node', title: 'Node id', link: toNodeOf('node_name'), width: 170 }
export const reporter: Column = { name: 'node_name', title: 'Reported by', link: toNode }
export const sent: Column = { name: 'sent', title: 'Sent', unit: 'decbytes', bar: true }
export const received: Column = { name: 'received', title: 'Received', unit: 'decbytes' }
export const packets: Column = { name: 'packets', title: 'Packets sent', unit: 'short' }
export const flows: Column = { name: 'flows', title: 'Flows', unit: 'short' }
export const tag = (name: string, title: string): Column => ({ name, title })
