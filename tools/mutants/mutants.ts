/** Proof that the tests are not blind: mistakes that such a service can make are built into a copy of the sources, one at a time, and the
 * suite must catch each.
 *
 *   npm run mutants [-- --only NAME]
 *
 * First the simulation is tried on a mutant (with the seed of this file), then the test files that are named with it. Exit code 1 when a
 * mutant lives. The copy needs no installation: it borrows node_modules. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

export interface Mutant {
  readonly name: string
  readonly file: string
  /** Must be there exactly once. */
  readonly find: string
  readonly replace: string
  /** Test files that catch it where the simulation cannot, which has no overlapping ticks and no HTTP. */
  readonly tests?: readonly string[]
}

const RUN_WINDOW = 'src/pipeline/deliver-window.ts'
const LIVENESS_TEST = 'test/pipeline/health/liveness.test.ts'
const TROUBLE_TEST = 'test/pipeline/database-trouble.test.ts'
const BREAKER_TEST = 'test/pipeline/circuit-breaker.test.ts'
const RUN_WINDOW_TEST = 'test/pipeline/deliver-window.test.ts'
const PIPELINE = 'src/pipeline/pipeline.ts'
const OBSERVERS = 'src/pipeline/observers/observers.ts'
const OBSERVERS_TEST = 'test/pipeline/observers/observers.test.ts'
const RECONCILE = 'src/pipeline/recovery/reconcile.ts'
const RECONCILE_TEST = 'test/pipeline/recovery/reconcile.test.ts'
const RECOVERY = 'src/pipeline/recovery/recovery.ts'
const RECOVERY_TEST = 'test/pipeline/recovery/recovery.test.ts'
const CHECKPOINT = 'src/sink/influxdb/checkpoint-query.ts'
const CHECKPOINT_TEST = 'test/sink/influxdb/checkpoint-query.test.ts'
const RUN = 'src/commands/run-service.ts'
const CONNECTIONS = 'src/http/connections.ts'
const NETWORK_TEST = 'test/line/hostile-network.test.ts'
const CRASH_TEST = 'test/line/crash.test.ts'
const LOG_OUTPUT = 'src/observe/log-output.ts'
const LOG_OUTPUT_TEST = 'test/line/log-output.test.ts'
const MIGRATIONS_TEST = 'test/ledger/sqlite/migrations.test.ts'
const PRIVATE_FILE_TEST = 'test/base/private-file.test.ts'
const PRESENT = 'src/pipeline/source-clock.ts'
const PRESENT_TEST = 'test/pipeline/source-clock.test.ts'
const EXPIRY_TEST = 'test/pipeline/recovery/expiry.test.ts'
const SCHEDULE = 'src/schedule/schedule.ts'
const SCHEDULE_TEST = 'test/schedule/schedule.test.ts'
const EMPTY_ANSWER = '{ serverNs: undefined, bytesRead: () => 0, groups: (async function* none() {})() }'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'done before the receipts',
    file: RUN_WINDOW,
    find: '    await delivery.settled()\n    signal.throwIfAborted()\n',
    replace: '    delivery.settled().catch(() => undefined)\n',
  },
  { name: 'end = now', file: PIPELINE, find: 'const lagNs = BigInt(options.lagMs) * MS', replace: 'const lagNs = 0n' },
  {
    name: 'milliseconds instead of nanoseconds',
    file: 'src/flatten/flat-points.ts',
    find: 'this.startNs = message.startNs',
    replace: 'this.startNs = (message.startNs / 1_000_000n) * 1_000_000n',
  },
  {
    name: 'node dropped from the identity',
    file: 'src/flatten/flatten.ts',
    find: '    nameReporter()\n    if',
    replace: "    points.node = 'any'\n    points.nodeName = 'any'\n    if",
  },
  {
    name: '403 counts as empty',
    file: RUN_WINDOW,
    find: 'await deps.source.open(window, signal)',
    replace: `await deps.source.open(window, signal).catch((error) => { if (error.code === 'api_forbidden') return ${EMPTY_ANSWER}; throw error })`,
  },
  {
    name: 'no single flight',
    file: PIPELINE,
    find: 'running ??= tickOnce()',
    replace: 'running = tickOnce()',
    tests: ['test/pipeline/pipeline.test.ts'],
  },
  {
    name: 'sums across messages',
    file: RUN_WINDOW,
    find: '      points = parts.flattener.flatten(message)\n',
    replace: `    const seen = ((parts as { seen?: Map<string, number> }).seen ??= new Map())
    const key = message.nodeId + message.startNs
    const before = seen.get(key) ?? 0
    seen.set(key, before + 1)
    for (let at = 0; at < message.entryCount * 4; at += 1) (message.counters as Float64Array)[at]! *= before + 1
    points = parts.flattener.flatten(message)\n`,
  },
  {
    name: 'late passes skipped',
    file: 'src/pipeline/planner.ts',
    find: 'function duePass(atNs: bigint): PlannedWindow | undefined {\n',
    replace: 'function duePass(atNs: bigint): PlannedWindow | undefined {\n    if (atNs > 0n) return undefined\n',
  },
  {
    name: 'late passes find nothing',
    file: RUN_WINDOW,
    find: 'const changed = window.previous?.digest !== digest.text()',
    replace: 'const changed = false',
  },
  {
    name: 'late passes count at once',
    file: PIPELINE,
    find: 'return 1 + latePassesNs.filter((passNs) => ageNs >= passNs).length',
    replace: 'return 1 + latePassesNs.filter(() => ageNs >= 0n).length',
  },
  {
    name: 'only the local clock',
    file: PRESENT,
    find: 'return min(at.wallNs, serverNs ?? serverAt(at))',
    replace: 'return at.wallNs',
  },
  {
    name: "only the API's clock",
    file: PRESENT,
    find: 'return min(at.wallNs, serverNs ?? serverAt(at))',
    replace: 'return serverNs ?? serverAt(at)',
  },
  {
    name: 'clocks are compared at two instants',
    file: PRESENT,
    find: 'return serverAt(at) === at.wallNs',
    replace: 'return serverAt(at) === clock.now()',
    tests: [PRESENT_TEST],
  },
  {
    name: 'lag by a Date that stands still',
    file: PRESENT,
    find: 'max(serverAt(at), runOn(moved, at))',
    replace: 'serverAt(at)',
    tests: [PRESENT_TEST],
  },
  {
    name: 'the longest look-back is a loss',
    file: RECONCILE,
    find: 'options.floorNs + LOOKBACK_MARGIN',
    replace: 'options.floorNs',
    tests: [EXPIRY_TEST],
  },
  {
    name: 'history is promised',
    file: 'src/pipeline/recovery/expiry.ts',
    find: 'min(ledger.promisedNs() ?? originNs, oldestNs)',
    replace: 'min(originNs, oldestNs)',
    tests: [EXPIRY_TEST],
  },
  {
    name: 'a machine that slept goes on by the old time',
    file: 'src/pipeline/worker-pool.ts',
    find: 'canRead && deps.sourceClock.hasJumped()',
    replace: 'false',
    tests: [EXPIRY_TEST],
  },
  {
    name: 'what ages out during a poll is asked for',
    file: 'src/pipeline/worker-pool.ts',
    find: 'canRead && deps.expiry.isDue()',
    replace: 'false',
    tests: [EXPIRY_TEST],
  },
  {
    name: 'every missed poll is made up for',
    file: SCHEDULE,
    find: '        dueMs = times.next(nowMs)\n        trigger()',
    replace: '        dueMs = times.next(dueMs)\n        trigger()',
    tests: [SCHEDULE_TEST],
  },
  {
    name: 'a clock that is set back is waited for',
    file: SCHEDULE,
    find: 'if (nowMs < seenMs) dueMs = times.next(nowMs)',
    replace: '',
    tests: [SCHEDULE_TEST],
  },
  {
    name: 'an answer that broke off counts as whole',
    file: RUN_WINDOW,
    find: '    for await (const group of answer.groups) {\n',
    replace: `    const forgiving = async function* (groups: typeof answer.groups) { try { yield* groups } catch (error) { if ((error as { code?: string }).code !== 'api_truncated') throw error } }
    for await (const group of forgiving(answer.groups)) {\n`,
    tests: [RUN_WINDOW_TEST],
  },
  {
    name: 'a restored database is not noticed',
    file: RECONCILE,
    find: 'missing: records.filter((window) => !isShown(window))',
    replace: 'missing: records.filter((window) => !isShown(window) && window.atNs < 0n)',
    tests: [RECOVERY_TEST],
  },
  {
    name: 'any newer window hides what the database lost',
    file: RECONCILE,
    find: '(acked.get(toNs) ?? -1n) >= atNs',
    replace: '(acked.get(toNs) ?? highestNs) >= atNs',
    tests: [RECOVERY_TEST],
  },
  {
    name: 'the checkpoint is read at the start and after outages only',
    file: RECOVERY,
    find: 'dueMs = clock.monotonicMs() + (isDisturbed ? COMPARE_SOON_MS : COMPARE_EVERY_MS)',
    replace: 'dueMs = Number.POSITIVE_INFINITY',
    tests: [RECOVERY_TEST],
  },
  {
    name: 'the checkpoint is read at the start and every ten minutes only',
    file: RECOVERY,
    find: '      steadySinceMs = clock.monotonicMs()\n      isReached = false\n',
    replace: '      steadySinceMs = clock.monotonicMs()\n',
    tests: [RECOVERY_TEST],
  },
  {
    name: 'a short outage is no outage',
    file: PIPELINE,
    find: '      if (isOutage(error)) recovery.databaseWasAway()\n',
    replace: '',
    tests: [RECOVERY_TEST],
  },
  {
    name: 'a window that was written around an outage is done',
    file: RUN_WINDOW,
    find: 'if (deps.wasAwaySince(delivery.sentMs) && deps.mayInterrupt(window)) throw interrupted()',
    replace: '',
    tests: ['test/pipeline/deliver-window.test.ts'],
  },
  {
    name: 'a checkpoint stands for batches of before an outage',
    file: 'src/pipeline/window-runner.ts',
    find: 'if (!isWritten || !deps.wasAwaySince(sentMs) ||',
    replace: 'if (isWritten || !isWritten ||',
    tests: ['test/pipeline/recovery/recovery.test.ts'],
  },
  {
    name: 'a late pass that wrote nothing proves what it read',
    file: RUN_WINDOW,
    find: 'const isWritten = changed || held === undefined',
    replace: 'const isWritten = true',
  },
  {
    name: 'an answer of another database is believed',
    file: 'src/pipeline/recovery/checkpoint-reader.ts',
    find: "      return 'unkept'\n    },\n  }",
    replace: "      return 'shown'\n    },\n  }",
    tests: [RECONCILE_TEST],
  },
  {
    name: 'what seems to be missing is read again without a look at the probe',
    file: RECONCILE,
    find: "  if (shown !== 'shown') return cannotCompare(options, deps, records, shown === 'unkept' ? UNSHOWN : shown)\n",
    replace: '',
    tests: [RECONCILE_TEST],
  },
  {
    name: 'the question for the checkpoint has no bounds in time',
    file: CHECKPOINT,
    find: ` AND time >= ${'$'}{fromNs} AND time <= ${'$'}{toNs}`,
    replace: '',
    tests: [CHECKPOINT_TEST],
  },
  {
    name: 'a database that cannot be reached fails the question for the checkpoint',
    file: CHECKPOINT,
    find: 'return { cannotBeQueried: error.message }',
    replace: 'throw error',
    tests: [CHECKPOINT_TEST],
  },
  {
    name: 'a question for the checkpoint that is refused stops the line',
    file: RECOVERY,
    find: '    // Also above the values that a lost ledger wrote.\n',
    replace:
      "    if (reconciled.unproven) throw new CollectorError('x', { stage: 'sink', code: 'db_unavailable', reaction: 'retry' })\n",
    tests: [RECOVERY_TEST],
  },
  {
    name: 'a guessed origin stays',
    file: RECONCILE,
    find: 'if (compared.unproven !== undefined || !deps.ledger.isOriginGuessed()) return compared',
    replace: 'if (deps.ledger.originNs() !== undefined) return compared',
    tests: [RECONCILE_TEST],
  },
  {
    name: 'a lost state file begins at the present',
    file: RECONCILE,
    find: 'max(min(knownNs, last.passedNs ?? knownNs), options.floorNs)',
    replace: 'options.nowNs',
  },
  {
    name: 'any 2xx acknowledges',
    file: 'src/sink/influxdb/response-policy.ts',
    find: "if (status === 204) return { kind: 'ack' }",
    replace: "if (status >= 200 && status < 300) return { kind: 'ack' }",
  },
  {
    name: 'a refused batch is dropped whole',
    file: 'src/sink/influxdb/response-policy.ts',
    find: 'return refused(means.cause)',
    replace: "return { kind: 'ack' }",
  },
  {
    name: 'a time-out of the database counts as written',
    file: 'src/sink/influxdb/influxdb-sink.ts',
    find: "if (error instanceof CollectorError) return { kind: 'error', error, isAboutSize",
    replace:
      "if (error instanceof CollectorError && error.code === 'db_timeout') return { kind: 'ack' }\n      if (error instanceof CollectorError) return { kind: 'error', error, isAboutSize",
  },
  {
    name: 'a queue of hinted handoff counts as written',
    file: 'src/sink/influxdb/response-policy.ts',
    find: "if (status === 201 && detail !== '') return refused('syntax')",
    replace:
      "if (/hinted handoff/.test(detail)) return { kind: 'ack' }\n  if (status === 201 && detail !== '') return refused('syntax')",
    tests: ['test/sink/influxdb/response-policy.test.ts'],
  },
  {
    name: 'a share of refused lines holds, whoever sent them',
    file: 'src/sink/influxdb/backpressure.ts',
    find: 'const SEVERAL_NODES = 3',
    replace: 'const SEVERAL_NODES = 1',
    tests: ['test/sink/influxdb/refused.test.ts'],
  },
  {
    name: 'lines that an answer names are searched by halves',
    file: 'src/sink/influxdb/error-message.ts',
    find: 'if (lines.size === 0) return undefined',
    replace: 'if (lines.size >= 0) return undefined',
    tests: ['test/sink/influxdb/refused.test.ts'],
  },
  {
    name: 'a type conflict is a matter of single lines',
    file: 'src/sink/influxdb/error-texts.ts',
    find: 'words: /field type conflict|invalid column type/i',
    replace: 'words: /no such text/i',
    tests: ['test/sink/influxdb/named-lines.test.ts'],
  },
  {
    name: 'at a limit nothing more is stored',
    file: 'src/sink/influxdb/series-limit.ts',
    find: 'if (requests >= REQUESTS_MAX) return undefined',
    replace: 'if (requests >= 0) return undefined',
    tests: ['test/sink/influxdb/real.test.ts'],
  },
  {
    name: 'what a limit refuses in part counts as written as far as it fits',
    file: 'src/sink/influxdb/series-limit.ts',
    find: 'if (part.lines.length < 2 || part.dropped >= part.lines.length) return false',
    replace: 'if (part.lines.length < 2 || part.dropped > 0) return false',
    tests: ['test/sink/influxdb/real.test.ts'],
  },
  {
    name: 'at a limit each batch is searched anew',
    file: 'src/sink/influxdb/known-values.ts',
    find: 'for (const key of keysOf(line, counts)) taken.add(key)',
    replace: '',
    tests: ['test/sink/influxdb/real.test.ts'],
  },
  {
    name: 'at a limit the node of the last refusal is named',
    file: 'src/pipeline/health/limit-health.ts',
    find: 'for (const one of errors) if (one instanceof LimitError) count(one)',
    replace:
      'counts.clear()\n      seen = createHashSet(SERIES_MAX)\n      for (const one of errors) if (one instanceof LimitError) count(one)',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'at a limit what is refused again counts again',
    file: 'src/pipeline/health/limit-health.ts',
    find: 'if (seen.size < SERIES_MAX && seen.add(one))',
    replace: 'if (seen.add(one) || seen.has(one))',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'a large window that is being written is stalled',
    file: PIPELINE,
    find: 'succeeded: line.moved',
    replace: 'succeeded: () => undefined',
    tests: ['test/pipeline/pipeline.test.ts'],
  },
  {
    name: 'trouble about size is repeated unchanged',
    file: 'src/sink/influxdb/influxdb-sink.ts',
    find: "if (outcome.kind !== 'error' || !outcome.isAboutSize) return outcome",
    replace: 'if (outcome.kind) return outcome',
    tests: ['test/sink/influxdb/influxdb-sink.test.ts'],
  },
  {
    name: 'a full disk is tried again by itself',
    file: 'src/sink/influxdb/error-texts.ts',
    find: "error('db_storage', 'hold', says",
    replace: "error('db_storage', 'retry', says",
    tests: ['test/sink/influxdb/influxdb-sink.test.ts'],
  },
  {
    name: 'the attempt is not recorded',
    file: RUN_WINDOW,
    find: 'const attempt = deps.ledger.beginAttempt(window)',
    replace: 'const attempt = window',
    tests: [RUN_WINDOW_TEST],
  },
  {
    name: 'a programmer’s error takes the mark of its attempt away',
    file: RUN_WINDOW,
    find: 'if (error instanceof CollectorError || signal.aborted) deps.ledger.endAttempt(attempt)',
    replace: 'if (error !== undefined) deps.ledger.endAttempt(attempt)',
    tests: [RUN_WINDOW_TEST],
  },
  {
    name: 'attempts with one begin share their mark',
    file: 'src/ledger/sqlite/sqlite-ledger.ts',
    find: 'if (attempt && ownsRow(attempt)) sql.dropAttempt.run(tailnet, attempt.fromNs, attempt.toNs)',
    replace:
      'for (const one of attempts) if (one.fromNs === fromNs) sql.dropAttempt.run(tailnet, one.fromNs, one.toNs)',
    tests: ['test/ledger/sqlite/sqlite-ledger.test.ts'],
  },
  {
    name: 'a gap is never tried again',
    file: 'src/pipeline/planner.ts',
    find: 'const gap = openGaps().find((one) => one.nextNs <= atNs && one.toNs <= horizonNs)',
    replace: 'const gap = openGaps().find((one) => one.nextNs <= 0n && atNs > horizonNs)',
  },
  {
    name: 'a database that is down is not probed first',
    file: 'src/pipeline/circuit-breaker.ts',
    find: "if (state === 'open' && nowMs < nextTryMs) return false",
    replace: "if (state === 'open') return true",
    tests: [BREAKER_TEST],
  },
  {
    name: 'a probe alone closes the circuit breaker',
    file: 'src/pipeline/circuit-breaker.ts',
    find: "if (state === 'open') state = 'half-open'\n",
    replace: "if (state === 'open') state = 'half-open'\n      this.succeeded({ fromNs: 0n, toNs: 0n }, 1)\n",
    tests: [BREAKER_TEST],
  },
  {
    name: 'an empty window closes the circuit breaker',
    file: 'src/pipeline/circuit-breaker.ts',
    find: 'if (written === 0 && rest.length > 0) return',
    replace: '',
    tests: [BREAKER_TEST],
  },
  {
    name: 'the probe after an outage is an empty request',
    file: 'src/pipeline/circuit-breaker.ts',
    find: "await deps.probe(state !== 'closed', signal)",
    replace: 'await deps.probe(false, signal)',
    tests: [BREAKER_TEST],
  },
  {
    name: 'a poll that hangs is alive',
    file: 'src/pipeline/pipeline.ts',
    find: 'isAlive: liveness.isAlive',
    replace: 'isAlive: () => true',
    tests: [LIVENESS_TEST],
  },
  {
    name: 'a poll that never begins is alive',
    file: 'src/pipeline/health/liveness.ts',
    find: 'SPARE_MS + (isPolling ? stepMaxMs : GAPS_MAX * gapMs)',
    replace: 'SPARE_MS + (isPolling ? stepMaxMs : GAPS_MAX * gapMs * 1e9)',
    tests: [LIVENESS_TEST],
  },
  {
    name: 'a database that fails for long is a reason for a restart',
    file: 'src/pipeline/pipeline.ts',
    find: '  sink.listen({ failed: liveness.moved, succeeded: liveness.moved })\n',
    replace: '',
    tests: [LIVENESS_TEST],
  },
  {
    name: '/livez asks nobody',
    file: 'src/main.ts',
    find: '    isAlive: pipeline.isAlive,\n',
    replace: '',
    tests: ['test/http/livez.test.ts'],
  },
  {
    name: 'another window goes before the one that failed',
    file: 'src/pipeline/worker-pool.ts',
    find: 'deps.horizon.ns(), breaker.trial)',
    replace: 'deps.horizon.ns())',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'a limit of the database holds the line',
    file: 'src/pipeline/window-runner.ts',
    find: 'if (result.limits.length > 0) return limited(window, plan, result)',
    replace: '',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'a limit ends the rest of its window',
    file: RUN_WINDOW,
    find: "if (error instanceof CollectorError && error.code === 'db_limit') limits.push(error)",
    replace: 'if (error === undefined) limits.push(error)',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'a limit makes a gap of what was never sent',
    file: 'src/pipeline/planner.ts',
    find: "        { fromNs: window.fromNs, toNs },\n        'db_limit',",
    replace: "        window,\n        'db_limit',",
    tests: [TROUBLE_TEST],
  },
  {
    name: 'each window that meets a limit puts the others off',
    file: 'src/pipeline/planner.ts',
    find: "window.queue === 'gap' ? nextNs : (waiting?.nextNs ?? nextNs)",
    replace: 'waiting === undefined ? nextNs : nextNs',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'a late pass that meets a limit takes back what is done',
    file: 'src/pipeline/planner.ts',
    find: 'lateFailures.set(window.fromNs, { count: lateFailures.get(window.fromNs)?.count ?? 0, nextNs })',
    replace: 'ledger.forget(window)',
    tests: [TROUBLE_TEST],
  },
  {
    name: 'gaps of a limit do not grow together',
    file: 'src/ledger/sqlite/sqlite-ledger.ts',
    find: 'return merge([...some, interval]).map((range) => {',
    replace: 'return [...some, interval].map((range) => {',
    tests: ['test/ledger/sqlite/sqlite-ledger.test.ts'],
  },
  {
    name: 'any acknowledgement ends a write that is tried again',
    file: 'src/pipeline/health/database-health.ts',
    find: 'for (const { beganAt } of underWay) if (beganAt < failures) return',
    replace: '',
    tests: ['test/pipeline/health/database-health.test.ts'],
  },
  {
    name: 'quarantined messages leave no letter',
    file: 'src/pipeline/quarantine.ts',
    find: 'const fresh = await deps.deadLetters.append(letters)',
    replace: 'const fresh = letters',
    tests: [RUN_WINDOW_TEST],
  },
  {
    name: 'a wild clock is believed',
    file: 'src/source/parse/array-cutter.ts',
    find: 'if (isOutOfBounds(columns, window)) {',
    replace: 'if (isOutOfBounds(columns, window) && pos < 0) {',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
  {
    name: 'a message that breaks the parser ends the window',
    file: 'src/source/parse/array-cutter.ts',
    find: '        exact.read(buffer, pos, stop)\n      } catch (error) {\n        thrown = error\n',
    replace: '        exact.read(buffer, pos, stop)\n      } catch (error) {\n        throw error\n',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
  {
    name: 'a huge member is scanned again with each piece',
    file: 'src/source/parse/compact-parser.ts',
    find: 'return fault >= end && end - base - at <= AGAIN_BYTES_MAX ? MORE : ODD',
    replace: 'return fault >= end ? MORE : ODD',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
  {
    name: 'an observer that throws stops the line',
    file: OBSERVERS,
    find: `            } catch (error) {
              life.fail(error)
            }
          }
        },
        done(`,
    replace: `            } catch (error) {
              throw error
            }
          }
        },
        done(`,
    tests: [OBSERVERS_TEST],
  },
  {
    name: 'an observer that failed is off for good',
    file: OBSERVERS,
    find: '      restarting = restart(made?.instance)\n',
    replace: '',
    tests: [OBSERVERS_TEST],
  },
  {
    name: 'an observer that fails is restarted without a pause',
    file: OBSERVERS,
    find: 'backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures - 1, 16))',
    replace: 'backoffMs = 1',
    tests: [OBSERVERS_TEST],
  },
  {
    name: 'an observer is well as soon as it is restarted',
    file: OBSERVERS,
    find: 'if (failures === 0 || clock.monotonicMs() - beganMs < backoffMs) return',
    replace: 'if (failures === 0) return',
    tests: [OBSERVERS_TEST],
  },
  {
    name: 'events that the database refuses count as trouble of the line',
    file: 'src/sink/influxdb/influxdb-sink.ts',
    find: 'const heard = isBestEffort ? undefined : listeners',
    replace: 'const heard = isBestEffort === undefined ? listeners : listeners',
    tests: ['test/sink/influxdb/influxdb-sink.test.ts'],
  },
  {
    name: 'events that the database refuses are written again at each turn',
    file: 'src/alerts/event-writer.ts',
    find: ' || clock.monotonicMs() < dueMs) return',
    replace: ' || clock.monotonicMs() < 0 * dueMs) return',
    tests: ['test/alerts/events.test.ts'],
  },
  {
    name: 'a metric that throws stops the line',
    file: 'src/pipeline/observers/failures.ts',
    find: '        return failed(name, source, error)\n',
    replace: '        throw error\n',
    tests: [OBSERVERS_TEST],
  },
  {
    name: 'alerts take receipts back after a crash',
    file: 'src/alerts/alerts.ts',
    find: '    unsaved = coverage.missed(endNs - UNSAVED_NS, endNs)\n',
    replace: `    unsaved = coverage.missed(endNs - UNSAVED_NS, endNs)
    for (const one of unsaved) (ledger as unknown as { forget(range: object): void }).forget(one)\n`,
    tests: ['test/alerts/crash.test.ts'],
  },
  {
    name: 'what alerts did not save counts as seen',
    file: 'src/alerts/judge.ts',
    find: 'known = coverage.unreadNs(fromNs, toNs + graceNs) === 0n',
    replace: 'known = coverage.unreadNs(fromNs, toNs + graceNs) >= 0n',
    tests: ['test/alerts/crash.test.ts'],
  },
  {
    name: 'the line waits for the devices API',
    file: PIPELINE,
    find: '      deviceNames.refresh()\n',
    replace: '      await source.devices(signal).catch(() => undefined)\n',
    tests: ['test/pipeline/device-names.test.ts'],
  },
  {
    name: 'the devices API may drip for ever',
    file: 'src/pipeline/device-names.ts',
    find: 'const ANSWER_MS = 60_000',
    replace: 'const ANSWER_MS = 600_000_000',
    tests: ['test/pipeline/device-names.test.ts'],
  },
  {
    name: 'two devices take the name of their address in turns',
    file: 'src/directory/sqlite-names.ts',
    find: 'of deviceByKey(devices)) {',
    replace: 'of devices.flatMap((one) => [one.nodeId, ...one.addresses].map((key) => [key, one] as const))) {',
    tests: ['test/directory/sqlite-names.test.ts'],
  },
  {
    name: 'a message on which flatten throws ends the window',
    file: RUN_WINDOW,
    find: "quarantine.failed(message, points === undefined ? 'flatten_failed' : 'encode_failed', error)",
    replace: 'if (error) throw error',
    tests: ['test/pipeline/quarantine.test.ts'],
  },
  {
    name: 'half of a message whose lines cannot be made is sent',
    file: 'src/sink/line-protocol/line-writer.ts',
    find: '      rollback()\n',
    replace: '',
    tests: ['test/sink/line-protocol/lines.test.ts'],
  },
  {
    name: 'one node fills the dead letters',
    file: 'src/sink/dead-letter-quota.ts',
    find: 'if (!isOver && line.length <= left) {',
    replace: 'if (line.length <= left) {',
    tests: ['test/sink/dead-letters.test.ts'],
  },
  {
    name: 'full dead letters hold the line',
    file: 'src/sink/dead-letters.ts',
    find: '      if (isFull) await close()\n',
    replace:
      "      if (isFull) throw new CollectorError('full', { stage: 'sink', code: 'dead_letters_failed', reaction: 'hold' })\n",
    tests: ['test/sink/dead-letters.test.ts'],
  },
  {
    name: 'each attempt writes the same letters again',
    file: 'src/sink/dead-letter-quota.ts',
    find: 'if (ids.has(id) || isKnown(id)) continue',
    replace: 'if (ids.has(id)) continue',
    tests: ['test/pipeline/quarantine.test.ts'],
  },
  {
    name: 'letters are forgotten with the process',
    file: 'src/sink/dead-letters.ts',
    find: '    if (!isRecalled) await recall(sizes)\n',
    replace: '',
    tests: ['test/sink/dead-letters.test.ts'],
  },
  {
    name: 'the name of a new folder is not durable',
    file: 'src/sink/dead-letters.ts',
    find: '      await syncFolder(dirname(made))\n',
    replace: '',
    tests: ['test/sink/dead-letters.test.ts'],
  },
  {
    name: 'the log is written while everything waits',
    file: LOG_OUTPUT,
    find: '    fsWrite(to, chunk, written)\n',
    replace: '    written(null, writeSync(to, chunk))\n',
    tests: [LOG_OUTPUT_TEST],
  },
  {
    name: 'lines of the log wait without a bound',
    file: LOG_OUTPUT,
    find: '      if (queuedChars + line.length > queueCharsMax) return troubled(1)\n',
    replace: '',
    tests: [LOG_OUTPUT_TEST],
  },
  {
    name: 'nobody hears of lost log lines',
    file: 'src/observe/log-watch.ts',
    find: "    deps.health.set('log', 'warning', 'log_lost', textOf(trouble))\n",
    replace: '',
    tests: [LOG_OUTPUT_TEST],
  },
  {
    name: 'a second error of a process that ends is not handled',
    file: RUN,
    find: "process.on('uncaughtException', broken)",
    replace: "process.once('uncaughtException', broken)",
    tests: [CRASH_TEST],
  },
  {
    name: 'an error that cannot be shown is thrown again',
    file: RUN,
    find: '    output.write(\'{"level":"fatal",',
    replace: '    throw new Error(\'{"level":"fatal",',
    tests: [CRASH_TEST],
  },
  {
    name: 'a stop may take for ever',
    file: RUN,
    find: 'const STOP_MS_MAX = 9_000',
    replace: 'const STOP_MS_MAX = 900_000',
    tests: [CRASH_TEST],
  },
  {
    name: 'the state file is free for a moment while settings are exchanged',
    file: 'src/commands/supervisor.ts',
    find: '    await before.service.stop()\n    try {\n',
    replace:
      '    await before.service.stop()\n    if (state === before.state) {\n      state.close()\n      state = stateFor(fresh)\n    }\n    try {\n',
    tests: ['test/commands/reload.test.ts'],
  },
  {
    name: 'everybody may read the state file',
    file: 'src/base/private-file.ts',
    find: 'const FILE_MODE = 0o600',
    replace: 'const FILE_MODE = 0o644',
    tests: [PRIVATE_FILE_TEST],
  },
  {
    name: 'a step of the state file is no transaction',
    file: 'src/ledger/sqlite/state-file.ts',
    find: "      if (!options.mustBeWhole) db.exec('BEGIN IMMEDIATE')\n      work()\n      if (!options.mustBeWhole) db.exec('COMMIT')\n",
    replace: '      work()\n',
    tests: [MIGRATIONS_TEST],
  },
  {
    name: 'who only looks changes the state file',
    file: 'src/ledger/sqlite/state-file.ts',
    find: "    if (!mustBeWhole) db.exec('COMMIT')\n",
    replace: "    db.exec('COMMIT')\n",
    tests: [MIGRATIONS_TEST],
  },
  {
    name: 'everybody may still read the state file of an earlier version',
    file: 'src/ledger/sqlite/state-file.ts',
    find: '    if (!mustBeWhole) tightenDatabase(path)\n',
    replace: '',
    tests: [PRIVATE_FILE_TEST],
  },
  {
    name: 'a URL shows its path',
    file: 'src/secrets/secret-url.ts',
    find: 'return this.secrets.length === 0 ? this.origin :',
    replace: 'return this.#url ??',
    tests: ['test/secrets/secret-url.test.ts'],
  },
  {
    name: 'what a receiver answers is shown as it is',
    file: 'src/alerts/notify/notifier.ts',
    find: 'said = deps.secrets.excerpt(text, isCut)',
    replace: 'said = text',
    tests: ['test/line/secrets.test.ts'],
  },
  {
    name: 'a command whose reader ends throws',
    file: 'src/commands/output.ts',
    find: "    if (error.code === 'EPIPE') return\n",
    replace: "    if (error.code === 'EPIPE') throw error\n",
    tests: ['test/commands/output.test.ts'],
  },
  {
    name: 'a new connection is kept out when there are too many',
    file: CONNECTIONS,
    find: 'if (waiting.size + busy.size >= limits.connectionsMax) closeOne()',
    replace: 'if (waiting.size + busy.size >= limits.connectionsMax) return void socket.destroy()',
    tests: [NETWORK_TEST],
  },
  {
    name: 'requests are pipelined without a bound',
    file: CONNECTIONS,
    find: 'if (busy.has(socket)) socket.destroy()',
    replace: '',
    tests: [NETWORK_TEST],
  },
  {
    name: 'the parser makes requests of all that came',
    file: CONNECTIONS,
    find: '    readInChunks(socket)\n',
    replace: '',
    tests: [NETWORK_TEST],
  },
  {
    name: 'the end of the process waits for name look-ups',
    file: 'src/commands/exit.ts',
    find: "|| !process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')",
    replace: '|| code !== null',
    tests: ['test/commands/exit.test.ts'],
  },
  {
    name: 'an alert that was taken is sent again for its answer',
    file: 'src/alerts/notify/notifier.ts',
    find: 'if (isGood(status)) answer.close()',
    replace: 'if (isGood(status)) await answer.text(ANSWER_BYTES_MAX)',
    tests: [NETWORK_TEST],
  },
  {
    name: 'an answer without an end is read to the time-out',
    file: 'src/sink/influxdb/transport.ts',
    find: 'if (request.answerBytesMax === undefined) resolve(answer())',
    replace: 'if (request.answerBytesMax === undefined) return',
    tests: [NETWORK_TEST],
  },
  {
    name: 'interim answers have no bound',
    file: 'src/http-client/interim.ts',
    find: 'if (count <= INTERIM_MAX) return',
    replace: 'if (count > 0) return',
    tests: [NETWORK_TEST],
  },
]

/** The mutated text. Throws when the mutant does not fit the source any more. */
export function mutate(source: string, { name, find, replace }: Mutant): string {
  const pieces = source.split(find)
  if (pieces.length !== 2) throw new Error(`mutant "${name}" fits ${pieces.length - 1} places, not one: remedy it`)
  return pieces.join(replace)
}

const ROOT = new URL('../..', import.meta.url).pathname
const SEED = 7
const RUNS = 1_200
const TIMEOUT_MS = 240_000
const SIMULATED = [
  'tools/simulation/simulate.ts',
  '--quick',
  '--threads',
  '2',
  '--seed',
  `${SEED}`,
  '--runs',
  `${RUNS}`,
]

interface MutantResult {
  readonly name: string
  readonly caughtBy: string | undefined
}

async function tryMutant(mutant: Mutant): Promise<MutantResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tailflux-mutant-'))
  try {
    for (const name of ['src', 'test', 'tools', 'bench', 'config', 'package.json'])
      cpSync(join(ROOT, name), join(folder, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const path = join(folder, mutant.file)
    writeFileSync(path, mutate(readFileSync(path, 'utf8'), mutant))
    // The tests that name it are done in seconds; the simulation takes a minute.
    for (const file of mutant.tests ?? []) {
      const tested = await run(folder, ['--test', file])
      const failed = /✖ (.*?)(?: \(|$)/m.exec(tested.output)?.[1]
      if (tested.failed) return { name: mutant.name, caughtBy: `${file}: ${failed ?? 'failed'}` }
    }
    const simulation = await run(folder, SIMULATED)
    if (simulation.failed) {
      const said = /FAILED: (.*)/.exec(simulation.output)?.[1] ?? 'it does not end'
      const again = /--seed \S+ --path \S+/.exec(simulation.output)?.[0] ?? `--seed ${SEED}`
      return { name: mutant.name, caughtBy: `simulation ${again}: ${said.slice(0, 90)}` }
    }
    return { name: mutant.name, caughtBy: undefined }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(cwd: string, args: readonly string[]): Promise<{ failed: boolean; output: string }> {
  const env = { ...process.env }
  // Of the runner that we may be a child of.
  delete env['NODE_TEST_CONTEXT']
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...args],
      { cwd, env, timeout: TIMEOUT_MS, maxBuffer: 64 << 20 },
      (error, stdout, stderr) => resolve({ failed: error !== null, output: stdout + stderr }),
    )
  })
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { only: { type: 'string' } } })
  const chosen = MUTANTS.filter((mutant) => values.only === undefined || mutant.name.includes(values.only))
  // A simulation that fails by itself would catch everything.
  const unchanged = await run(ROOT, SIMULATED)
  if (unchanged.failed) throw new Error(`the simulation fails without a mutant:\n${unchanged.output}`)
  let alive = 0
  for (const mutant of chosen) {
    const { name, caughtBy } = await tryMutant(mutant)
    if (caughtBy === undefined) alive += 1
    console.log(`${caughtBy === undefined ? 'LIVES ' : 'caught'}  ${name.padEnd(46)} ${caughtBy ?? ''}`)
  }
  console.log(`${chosen.length - alive} of ${chosen.length} mutants caught`)
  if (alive > 0) process.exitCode = 1
}
