/** Who a node is: name, owner, OS and addresses, from the device list of the API and from what messages say, each with the minute from which it is
 * valid. Labels of derived rows come from here, as of their minute; alerts ask for the names of now.
 *
 *   device list, messages -> history (memory) -> state file (newest entries) and tailnet_device (every change)
 *
 * Memory holds what was valid in the last two hours; what was valid before is read from the database. */
import type { Logger } from 'pino'
import { type Clock, DAY, MINUTE } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { Sink } from '../sink/sink.ts'
import type { Device, Source } from '../source/source.ts'
import { entriesOfList, type NameMask, ownerOf } from './device-entry.ts'
import { createDeviceHistory, type DeviceHistory } from './device-history.ts'
import { createDeviceList } from './device-list.ts'
import type { DeviceStore } from './device-store.ts'
import { createDeviceTable, type StoredDevice } from './device-table.ts'
import { type DeviceVersion, minuteOf, SOURCES } from './device-version.ts'
import { createDeviceWriter } from './device-writer.ts'
import { createMessageClaims, type MessageObserver } from './message-observer.ts'
import { createNetworks, type Network, type NetworksConfig } from './networks.ts'
import type { NodeNames } from './node-names.ts'
import { createPastDevices, FORGOTTEN_AFTER_NS } from './past-devices.ts'
import { readBack } from './read-back.ts'
import type { DirectoryView } from './view.ts'

export interface Directory extends NodeNames {
  /** Devices known. */
  readonly count: number
  readonly observer: MessageObserver
  /** Puts back what the state file holds. Begins to read the device list and `tailnet_device`, and to write changes there. Neither is waited for. Throws a
   * CollectorError (stage `ledger`). */
  start(): void
  /** Resolves when derived rows may be made: what the state file and the database hold was read back; with nothing anywhere, after the first device
   * list, or after five minutes. Rejects with the signal's reason only. */
  ready(signal: AbortSignal): Promise<void>
  /** Memory holds what was valid in this minute. */
  knowsMinute(minuteNs: bigint): boolean
  /** The labels of a minute (its begin, ns) that memory knows. `countsBackwards`: the first entry of a device counts before its time too. Ask the
   * same way each time, or the same minute gets other labels. */
  at(minuteNs: bigint, countsBackwards: boolean): DirectoryView
  /** The same for any minute: from memory, or else from the database. Rejects with a CollectorError (stage `sink`), or with the signal's reason. */
  load(minuteNs: bigint, countsBackwards: boolean, signal: AbortSignal): Promise<DirectoryView>
  /** Takes over what another service, which writes beside this one, has learnt in the last minutes. Rejects as `load`. */
  refresh(signal: AbortSignal): Promise<void>
  /** Ids of the tailnet's own nodes that the newest device list shows as connected to the control server. Undefined without a list. */
  connected(): ReadonlySet<string> | undefined
  /** Ends what start() began; what the database did not take yet is kept in the state file. Idempotent. */
  stop(): Promise<void>
}

export interface DirectoryOptions {
  /** The tag `tailnet`. */
  readonly tailnet: string
  /** What the state file calls the tailnet, whatever its name is. */
  readonly tailnetId: string
  /** How often the device list is read. */
  readonly devicesIntervalMs: number
}

export interface DirectoryDeps {
  readonly source: Pick<Source, 'devices'>
  readonly sink: Pick<Sink, 'write'>
  readonly store: DeviceStore
  readonly state: Pick<StateFile, 'db' | 'transaction'>
  /** The source clock, ns. */
  readonly nowNs: () => bigint
  /** How names are masked in rows of this minute (its begin, ns). */
  readonly namesAt: (minuteNs: bigint) => NameMask
  readonly networksAt: (minuteNs: bigint) => NetworksConfig
  readonly metrics: { devicesKnown(count: number): void }
  readonly health: {
    set(component: 'names', status: 'ok' | 'warning', code?: string, text?: string, condition?: string): void
  }
  readonly clock: Clock
  readonly log: Logger
}

/** What was valid in these minutes is held in memory. */
const HELD_MINUTES = 120
const TICK_MS = 2_000
/** What another service learnt is written within so many minutes, unless its database was away. */
const REFRESH_MINUTES = 15
/** Nothing is learnt for this long, at most, while what is known is read back: it decides who has an address. */
const LEARNING_WAITS_MS = 60_000
/** Derived rows wait this long, at most, for devices that are known nowhere. */
const ROWS_WAIT_MS = 300_000
/** Devices that are looked through, and that one transaction of the state file takes, at a time: it must not hold up the line. */
const PER_TICK = 2_000
/** More than any tailnet has devices within 30 days. Then a tenth is forgotten: first those that only other nodes named, which anybody may make up; of each source what was heard
 * of longest ago. */
const DEVICES_MAX = 250_000

export function createDirectory(options: DirectoryOptions, deps: DirectoryDeps): Directory {
  const { clock, nowNs, health, log } = deps
  const history = createDeviceHistory()
  const table = createDeviceTable(deps.state, options.tailnetId)
  const writer = createDeviceWriter(options.tailnet, { ...deps, history })
  const past = createPastDevices({ ...deps, history })
  const networks = new WeakMap<NetworksConfig, (address: string) => Network | undefined>()
  const stopping = new AbortController()
  /** Nodes whose entry in the state file is older than in memory. */
  const unsaved = new Set<string>()
  let forgotten: string[] = []
  /** Memory was complete from this minute on when it was read back. */
  let readFrom = Number.POSITIVE_INFINITY
  /** False: the database takes no devices. */
  let hasDevices = true
  let isLearning = false
  let isReadBack = false
  let reading = Promise.resolve()
  let running: Promise<void> | undefined
  /** Looks through the devices for what can be forgotten, a few at a time. */
  let sweep = history.nodes()[Symbol.iterator]()
  let lastMinute = 0
  let lastDay = 0

  const maskAt = (learntNs: bigint) => deps.namesAt(BigInt(minuteOf(learntNs) + 1) * MINUTE)
  const claims = createMessageClaims({ history, nowNs, maskAt, changed })
  const list = createDeviceList({ intervalMs: options.devicesIntervalMs }, { ...deps, onList: learnList })

  function changed(versions: readonly DeviceVersion[]): void {
    if (hasDevices) writer.add(versions)
    for (const { node } of versions) unsaved.add(node)
    if (history.count > DEVICES_MAX) makeRoom()
  }

  function learnList(devices: readonly Device[]): void {
    const learntNs = nowNs()
    for (const entry of entriesOfList(devices, learntNs, maskAt(learntNs))) changed(history.learn(entry, learntNs))
  }

  function makeRoom(): void {
    const rank = ({ source }: DeviceVersion) => SOURCES.indexOf(source)
    const all = [...history.newest()].sort((a, b) => rank(b) - rank(a) || (a.loggedNs < b.loggedNs ? -1 : 1))
    const some = all.slice(0, all.length / 10)
    forget(
      some.map(({ node }) => node),
      nowNs() + DAY,
    )
    log.warn(
      { deviceCount: DEVICES_MAX },
      'too many devices: a tenth is forgotten, first those that only other nodes named',
    )
  }

  function forget(nodes: Iterable<string>, loggedBeforeNs: bigint): void {
    for (const node of history.forget(nodes, minuteOf(nowNs()) - HELD_MINUTES, loggedBeforeNs)) {
      unsaved.delete(node)
      forgotten.push(node)
    }
  }

  function forgetSome(): void {
    const nodes: string[] = []
    for (let next = sweep.next(); next.done !== true; next = sweep.next()) {
      if (nodes.push(next.value) === PER_TICK) break
    }
    if (nodes.length < PER_TICK) sweep = history.nodes()[Symbol.iterator]()
    forget(nodes, nowNs() - FORGOTTEN_AFTER_NS)
  }

  /** Throws a CollectorError (stage `ledger`); then everything is saved the next time. */
  function save(countMax: number): void {
    const some = [...unsaved.values().take(countMax)]
    const stored = some.flatMap((node): StoredDevice[] => {
      const version = history.newestOf(node)
      return version === undefined ? [] : [{ version, isWritten: writer.isWritten(node) }]
    })
    table.save(stored, forgotten)
    forgotten = []
    for (const node of some) unsaved.delete(node)
  }

  function everyMinute(minute: number): void {
    if (minute % 10 === 0) claims.renew()
    // So that a restart knows who said so within the last day.
    if (minute % 60 === 0) for (const node of history.nodes()) unsaved.add(node)
    report()
  }

  function everyDay(minute: number): void {
    claims.renewLimits()
    if (hasDevices) writer.addAll(minute)
  }

  function report(): void {
    const contested = history.contested(nowNs())
    if (contested === 0) health.set('names', 'ok', undefined, undefined, 'contested')
    else {
      const text = `${contested} ${contested === 1 ? 'address is' : 'addresses are'} claimed by more than one node; the first one keeps it. Let tailflux read the device list, which decides: give its credentials the scope devices:core:read`
      health.set('names', 'warning', 'names_contested', text, 'contested')
    }
    if (claims.excess === 0) return health.set('names', 'ok', undefined, undefined, 'excess')
    const text = `nodes described more unknown nodes than they may in a day; ${claims.excess} descriptions were left out. Let tailflux read the device list, which knows all nodes: give its credentials the scope devices:core:read`
    health.set('names', 'warning', 'names_excess', text, 'excess')
  }

  async function tick(): Promise<void> {
    const minute = minuteOf(nowNs())
    const day = Number(nowNs() / DAY)
    if (day > lastDay) everyDay(day * 24 * 60)
    if (minute !== lastMinute) everyMinute(minute)
    lastDay = Math.max(day, lastDay)
    lastMinute = minute
    forgetSome()
    save(PER_TICK)
    if (!hasDevices || !isReadBack) return
    await writer.write(stopping.signal, (nodes) => {
      for (const node of nodes) unsaved.add(node)
    })
  }

  async function read(): Promise<void> {
    const found = await readBack(deps, history, HELD_MINUTES, stopping.signal)
    readFrom = found.heldFrom
    hasDevices = found.hasDevices
    isReadBack = true
    if (hasDevices) writer.addAll(minuteOf(nowNs()) + 1)
    for (const node of history.nodes()) unsaved.add(node)
  }

  async function run(): Promise<void> {
    await Promise.race([reading, clock.sleep(LEARNING_WAITS_MS, stopping.signal)]).catch(() => undefined)
    lastMinute = minuteOf(nowNs())
    lastDay = Number(nowNs() / DAY)
    isLearning = true
    if (!stopping.signal.aborted) list.start()
    while (!stopping.signal.aborted) {
      try {
        await tick()
        health.set('names', 'ok', undefined, undefined, 'state')
      } catch (error) {
        const text = `Names of devices cannot be kept in the state file and are tried again (${messageOf(error)}). Check the disk of TAILFLUX_DATA_DIR`
        health.set('names', 'warning', 'names_not_kept', text, 'state')
        log.warn({ err: error }, 'devices cannot be kept')
      }
      // Only a stop ends the sleep early.
      await clock.sleep(TICK_MS, stopping.signal).catch(() => undefined)
    }
  }

  function viewOf(from: DeviceHistory, minuteNs: bigint, countsBackwards: boolean): DirectoryView {
    const minute = minuteOf(minuteNs)
    const mask = deps.namesAt(minuteNs)
    return {
      nodeOf: (address) => from.ownerOf(address, minute, countsBackwards),
      device(node) {
        const version = from.at(node, minute, countsBackwards)
        if (version === undefined) return undefined
        return { name: mask.name(version.name) ?? '', owner: ownerOf(version.owner, mask), os: version.os }
      },
      networkOf: networksOf(deps.networksAt(minuteNs)),
    }
  }

  function networksOf(config: NetworksConfig): (address: string) => Network | undefined {
    const known = networks.get(config)
    if (known !== undefined) return known
    const made = createNetworks(config)
    networks.set(config, made)
    return made
  }

  const knowsMinute = (minuteNs: bigint) => minuteOf(minuteNs) >= Math.max(readFrom, history.heldFrom)
  const at = (minuteNs: bigint, countsBackwards: boolean) => viewOf(history, minuteNs, countsBackwards)
  const ownerNow = (address: string) => history.ownerOf(address, Number.POSITIVE_INFINITY, false)

  return {
    get count() {
      return history.count
    },
    observer: {
      ...claims,
      points(window, points, message) {
        if (isLearning) claims.points(window, points, message)
      },
    },
    start() {
      for (const { version, isWritten } of table.all()) {
        history.restore(version)
        if (!isWritten) writer.add([version])
      }
      // Its only failure is a stop.
      reading = read().catch(() => undefined)
      running = run()
    },
    async ready(signal) {
      const over = new AbortController()
      const known = reading.then(() => (history.count > 0 ? undefined : list.first))
      try {
        await Promise.race([known, clock.sleep(ROWS_WAIT_MS, AbortSignal.any([signal, over.signal]))])
      } finally {
        over.abort()
      }
    },
    knowsMinute,
    at,
    async load(minuteNs, countsBackwards, signal) {
      if (knowsMinute(minuteNs)) return at(minuteNs, countsBackwards)
      return viewOf(await past.load(minuteOf(minuteNs), signal), minuteNs, countsBackwards)
    },
    async refresh(signal) {
      if (!hasDevices || !isReadBack) return
      const minute = minuteOf(nowNs())
      const [fromNs, toNs] = [minute - REFRESH_MINUTES, minute + 2].map((one) => BigInt(one) * MINUTE)
      for (const version of await deps.store.devices(fromNs!, toNs!, signal)) {
        // What is known here may be newer than what is written.
        if (history.versionsOf(version.node).some(({ from }) => from === version.from)) continue
        history.restore(version)
        unsaved.add(version.node)
      }
    },
    connected: list.connected,
    nodeOf: ownerNow,
    nameOf(addressOrId) {
      const version = history.newestOf(addressOrId) ?? history.newestOf(ownerNow(addressOrId) ?? '')
      return version === undefined ? undefined : deps.namesAt(nowNs()).name(version.name) || undefined
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await Promise.all([list.stop(), reading, running])
      try {
        save(Number.POSITIVE_INFINITY)
      } catch (error) {
        log.warn({ err: error }, 'devices cannot be kept')
      }
    },
  }
}
