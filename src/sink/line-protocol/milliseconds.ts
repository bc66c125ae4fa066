/** Times for a database that keeps milliseconds (VictoriaMetrics). The parts of a split record begin microseconds apart: in one millisecond, where only one of
 * them would be kept. So the millisecond is made of the milliseconds, microseconds and nanoseconds of the time: a point stays in its second, and parts stay apart.
 * It is a function of the time alone, so what is written again has the same time, and a time that is changed already stays. */

const NEWLINE = 0x0a
const ZERO = 0x30
/** Digits after the second. */
const FRACTION = 9

/** Changes the times of lines in place. Times are ns; each line ends with "\n". Rows, which begin with a second, stay as they are. */
export function keepApart(lines: Uint8Array): void {
  for (let end = lines.indexOf(NEWLINE); end >= 0; end = lines.indexOf(NEWLINE, end + 1)) {
    const begin = end - FRACTION
    if (!areDigits(lines, begin - 1, end)) continue
    let sum = 0
    for (let i = 0; i < FRACTION; i++) sum += (lines[begin + i]! - ZERO) * (i % 3 === 0 ? 100 : i % 3 === 1 ? 10 : 1)
    const millisecond = sum % 1000
    lines[begin] = ZERO + Math.floor(millisecond / 100)
    lines[begin + 1] = ZERO + (Math.floor(millisecond / 10) % 10)
    lines[begin + 2] = ZERO + (millisecond % 10)
    lines.fill(ZERO, begin + 3, end)
  }
}

function areDigits(bytes: Uint8Array, from: number, to: number): boolean {
  if (from < 0) return false
  for (let i = from; i < to; i++) if (bytes[i]! < ZERO || bytes[i]! > ZERO + 9) return false
  return true
}
