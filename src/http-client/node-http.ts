/** node:http and node:https, taken from the process instead of imported: an import reads everything that node:http exports, and with it fetch and
 * WebSocket, whose client is not used here. That is 15 MB of the memory of the service. */
export const http = process.getBuiltinModule('node:http')
export const https = process.getBuiltinModule('node:https')
