// Asks npm's deep-email-validator about the addresses on standard input. Only its public options are used.
// Arguments: the folder that it is installed in, how many at a time, the sender. What it greets with is fixed.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [folder, atATime, sender] = process.argv.slice(2)
const { validate } = createRequire(`${folder}/`)('deep-email-validator')
const addresses = readFileSync(0, 'utf8').split(/\s+/).filter(Boolean)
const verdicts = {}

const startedAt = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: Number(atATime) }, async () => {
    while (next < addresses.length) {
      const email = addresses[next++]
      const answer = await validate({ email, sender, validateTypo: false, validateDisposable: false })
      verdicts[email] = answer.valid ? 'exists' : 'not_exists'
    }
  }),
)
const told = JSON.stringify({ seconds: (performance.now() - startedAt) / 1000, verdicts })
process.stdout.write(told, () => process.exit(0))
