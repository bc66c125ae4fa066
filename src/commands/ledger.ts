/** `tailflux ledger show`: what is done, what is missing, and where. */
import { Command } from 'commander'
import type { Logger } from 'pino'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import { pathsIn } from '../config/data-dir.ts'
import { type Settings, tailnetSource, tailnetTag } from '../config/settings.ts'
import { oldPrivacyKey } from '../ledger/sqlite/old-privacy-key.ts'
import { createLedger } from '../ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../ledger/sqlite/state-file.ts'
import { findLedger } from '../ledger/sqlite/tailnets.ts'
import { createServiceClient } from './service-client.ts'
import { load, silentLogFor } from './settings.ts'

/** What the state file or the service reports; times as RFC 3339. */
interface LedgerView {
  readonly tailnet: string
  readonly origin: string | null
  readonly watermark: string | null
  /** What was logged up to here was written by version 0.1.0; only known from the state file itself. */
  readonly oldPointsTo?: string
  /** What is missing before the newest settled time: [from, to]. Only known from the state file itself. */
  readonly missing?: readonly (readonly [string, string])[]
  readonly gaps: readonly { from: string; to: string; reason: string; state: string; attempts: number }[]
  readonly recent?: readonly { from: string; to: string; pass: number; messages: number; points: number }[]
}

const RECENT = 10

export function ledgerCommand(): Command {
  const show = new Command('show')
    .description(
      'Print which windows are done and which gaps exist, from the state file, or from the running service that uses it.',
    )
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const loaded = load(command, { withoutCredentials: true })
      const view = await look(loaded.settings, silentLogFor(loaded).log)
      process.stdout.write(options.json ? `${JSON.stringify(view, undefined, 2)}\n` : textOf(view))
    })
  const key = new Command('privacy-key')
    .description(
      'Print the key with which tailflux 0.1.0 made its hashes, from the state file, for the setting privacy.key.',
    )
    .action((_: unknown, command: Command) => {
      // The settings are not valid before they have this key.
      const loaded = load(command, {
        withoutCredentials: true,
        changes: { 'privacy.names': 'keep', 'privacy.externalAddresses': 'keep' },
      })
      process.stdout.write(`${privacyKeyIn(loaded.settings, silentLogFor(loaded).log)}\n`)
    })
  return new Command('ledger')
    .description('Inspect the ledger of acknowledged windows.')
    .addCommand(show)
    .addCommand(key)
}

function privacyKeyIn(settings: Settings, log: Logger): string {
  const { state: path } = pathsIn(settings.dataDir)
  const state = openStateFile({ path, mustBeWhole: true }, { clock: systemClock, log })
  try {
    const key = oldPrivacyKey(state)
    if (key !== undefined) return key
    throw new CollectorError(
      `The state file ${path} holds no key of version 0.1.0. Make a new one: openssl rand -hex 32`,
      { stage: 'ledger', code: 'state_failed', reaction: 'hold' },
    )
  } finally {
    state.close()
  }
}

async function look(settings: Settings, log: Logger): Promise<LedgerView> {
  try {
    return fromFile(settings, log)
  } catch (error) {
    if (!(error instanceof CollectorError) || error.code !== 'state_locked') throw error
    return await fromService(settings)
  }
}

function fromFile(settings: Settings, log: Logger): LedgerView {
  const tailnet = tailnetTag(settings)
  const state = openStateFile({ path: pathsIn(settings.dataDir).state, mustBeWhole: true }, { clock: systemClock, log })
  try {
    const ledger = createLedger(state, findLedger(state, { source: tailnetSource(settings), name: tailnet }, log))
    const oldToNs = ledger.oldPointsToNs()
    const originNs = ledger.originNs()
    const watermarkNs = ledger.watermarkNs()
    const newestNs = ledger.settled().at(-1)?.toNs
    const missing = originNs === undefined || newestNs === undefined ? [] : ledger.missing(originNs, newestNs)
    return {
      tailnet,
      origin: originNs === undefined ? null : isoOf(originNs),
      watermark: watermarkNs === undefined ? null : isoOf(watermarkNs),
      ...(oldToNs === undefined ? {} : { oldPointsTo: isoOf(oldToNs) }),
      missing: missing.map(({ fromNs, toNs }) => [isoOf(fromNs), isoOf(toNs)] as const),
      gaps: ledger.gaps().map(({ fromNs, toNs, reason, state: how, attempts }) => ({
        from: isoOf(fromNs),
        to: isoOf(toNs),
        reason,
        state: how,
        attempts,
      })),
      recent: ledger.recent(RECENT).map(({ fromNs, toNs, pass, messages, points }) => ({
        from: isoOf(fromNs),
        to: isoOf(toNs),
        pass,
        messages,
        points,
      })),
    }
  } finally {
    state.close()
  }
}

async function fromService(settings: Settings): Promise<LedgerView> {
  const { tailnet, origin, watermark, gaps } = await createServiceClient(settings).status()
  return { tailnet, origin, watermark, gaps }
}

function textOf(view: LedgerView): string {
  const lines = [
    `tailnet    ${view.tailnet}`,
    `origin     ${view.origin ?? 'no data read yet'}`,
    `watermark  ${view.watermark ?? 'no data read yet'}   everything up to here is in the database`,
  ]
  if (view.oldPointsTo !== undefined)
    lines.push(
      `old points ${view.oldPointsTo}   what was logged up to here was written by tailflux 0.1.0 and stays as it is`,
    )
  for (const [from, to] of view.missing ?? []) lines.push(`missing    ${from} to ${to}`)
  if (view.gaps.length === 0) lines.push('gaps       none')
  for (const gap of view.gaps)
    lines.push(`gap        ${gap.from} to ${gap.to}   ${gap.state}, ${gap.reason}, ${gap.attempts} attempts`)
  for (const window of view.recent ?? [])
    lines.push(
      `window     ${window.from} to ${window.to}   pass ${window.pass}, ${window.messages} messages, ${window.points} points`,
    )
  return `${lines.join('\n')}\n`
}
