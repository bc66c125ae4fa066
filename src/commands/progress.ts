/** Progress of long commands: a bar with the time left on a terminal, a plain line now and then in a log. */
import { Presets, SingleBar } from 'cli-progress'
import { ageText } from '../base/format.ts'

export interface Progress {
  /** `share`: from 0 to 1. `note`: a short remark. */
  show(share: number, etaSeconds: number | null, note: string): void
  /** Ends the bar; what is printed next begins on a line of its own. */
  end(): void
}

const LINE_EVERY_MS = 10_000

/** `label`: what runs, one or two words. Writes to standard error, so that standard output stays for results. */
export function createProgress(label: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? createBar(label, stream) : createLines(label, stream)
}

function createBar(label: string, stream: NodeJS.WriteStream): Progress {
  const bar = new SingleBar(
    { format: `${label} {bar} {percent} %  {eta_text}  {note}`, stream, hideCursor: true, clearOnComplete: false },
    Presets.shades_classic,
  )
  let isStarted = false
  return {
    show(share, etaSeconds, note) {
      const percent = Math.floor(share * 100)
      const payload = { percent, eta_text: etaText(etaSeconds), note }
      if (isStarted) bar.update(percent, payload)
      else bar.start(100, percent, payload)
      isStarted = true
    },
    end() {
      if (isStarted) bar.stop()
    },
  }
}

function createLines(label: string, stream: NodeJS.WriteStream): Progress {
  let dueMs = Number.NEGATIVE_INFINITY
  return {
    show(share, etaSeconds, note) {
      const nowMs = performance.now()
      if (nowMs < dueMs && share < 1) return
      dueMs = nowMs + LINE_EVERY_MS
      const eta = etaText(etaSeconds)
      stream.write(
        `${label}: ${(share * 100).toFixed(1)} %${eta === '' ? '' : `, ${eta}`}${note === '' ? '' : `, ${note}`}\n`,
      )
    },
    end: () => undefined,
  }
}

function etaText(seconds: number | null): string {
  return seconds === null ? '' : `about ${ageText(seconds)} left`
}
