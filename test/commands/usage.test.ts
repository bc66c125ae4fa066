/** Wrong usage ends each command with 2 and the fix, before it does anything. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['flows --from 1h --to 2h', /must be earlier than/],
  ['backfill --from 1h --to 2h', /must be earlier than/],
  ['export --from 1h --to 2h', /must not be later than/],
  ['flows --port 70000', /from 0 to 65535/],
  ['flows --port ssh', /from 0 to 65535/],
  ['flows --proto nosuch', /a name such as tcp/],
  ['flows --kind nosuch', /Allowed choices/],
  ['flows --limit 0', /at least 1/],
  ['flows --from yesterday', /It must be a time such as/],
  ['demo --nodes 2', /from 5 to 50000/],
  ['alerts suggest --days 0', /from 1 to 365/],
  ['healthcheck --url nonsense', /an address such as http/],
  ['status --url ftp://tailflux', /an address such as http/],
  ['pause --url http://tailflux/?a', /an address such as http/],
  ['backfill', /--from <time>' not specified/],
  ['grafana export --check', /needs --out/],
  ['run twice', /too many arguments/],
  ['replay', /missing required argument/],
  ['ledger nosuch', /unknown command/],
]

test('every command says what is wrong with its arguments, and ends with 2', async (t) => {
  const env = { TAILFLUX_DATA_DIR: temporaryFolder(t), TAILSCALE_API_KEY: 'tskey-api-x' }
  for (let from = 0; from < WRONG.length; from += 4)
    await Promise.all(
      WRONG.slice(from, from + 4).map(async ([args, text]) => {
        const { code, stdout, stderr } = await runCli(t, args.split(' '), env)
        assert.deepEqual([code, stdout], [2, ''], `${args}: ${stderr}`)
        assert.match(stderr, text, args)
      }),
    )
})
