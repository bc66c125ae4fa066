/** Columns that several tables share. */
import type { Column } from './panels.ts'
import { DERP_REGIONS, toNode, toNodeOf, toOwner, toPair } from './words.ts'

export const nodeName: Column = { name: 'node_name', title: 'Node', link: toNode }
export const nodeId: Column = { name: 'node', title: 'Node id', link: toNodeOf('node_name'), width: 170 }
export const owner: Column = { name: 'owner', title: 'Owner', link: toOwner() }
export const sent: Column = { name: 'sent', title: 'Sent', unit: 'decbytes', bar: true }
export const received: Column = { name: 'received', title: 'Received', unit: 'decbytes' }

/** Of edges. */
export const from: Column = { name: 'src_name', title: 'From', link: toPair }
export const to: Column = { name: 'dst_name', title: 'To', link: toPair }
export const fromOwner: Column = { name: 'src_owner', title: 'Owner of "From"', link: toOwner() }
export const toOwners: Column = { name: 'dst_owner', title: 'Owner of "To"', link: toOwner() }
export const region: Column = { name: 'path', title: 'Region', texts: DERP_REGIONS }
export const proto: Column = { name: 'proto', title: 'Protocol' }
export const port: Column = { name: 'port', title: 'Port' }
export const bytes: Column = { name: 'bytes', title: 'Both ways', unit: 'decbytes', bar: true }
const forth: Column = { name: 'forth', title: 'There', unit: 'decbytes' }
const back: Column = { name: 'back', title: 'Back', unit: 'decbytes' }
/** As many as EDGE_BYTES has. */
export const edgeBytes = [bytes, forth, back] as const
export const tag = (name: string, title: string): Column => ({ name, title })
