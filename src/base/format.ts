/** Formats numbers and times for people: on the status page, in a terminal, in the log. */
import { MS } from './clock.ts'

/** `38 s`, `12 min`, `5 h 20 min`, `3 d 4 h`. */
export function ageText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 120) return `${whole} s`
  const minutes = Math.round(whole / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return joined(`${hours} h`, minutes % 60, 'min')
  return joined(`${Math.floor(hours / 24)} d`, hours % 24, 'h')
}

/** `15-minute`, `24-hour`, `90-second`: an age in front of a noun. */
export function ageAdjective(seconds: number): string {
  if (seconds % 86_400 === 0 && seconds > 86_400) return `${seconds / 86_400}-day`
  if (seconds % 3_600 === 0) return `${seconds / 3_600}-hour`
  return seconds % 60 === 0 ? `${seconds / 60}-minute` : `${seconds}-second`
}

function joined(head: string, rest: number, unit: string): string {
  return rest === 0 ? head : `${head} ${rest} ${unit}`
}

/** `7`, `12.4 k`, `3.1 M`. */
export function countText(count: number): string {
  return scaled(count, 1000, ['', 'k', 'M', 'G', 'T']).trim()
}

/** `512 B`, `8.4 MB`: decimal, as Grafana shows bytes. */
export function bytesText(bytes: number): string {
  return scaled(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB'])
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let rest = value
  let index = 0
  while (rest >= step && index < units.length - 1) {
    rest /= step
    index += 1
  }
  const digits = index === 0 ? String(Math.round(rest * 10) / 10) : rest.toFixed(rest < 100 ? 1 : 0)
  return `${digits} ${units[index]}`
}

/** `850 bps`, `3.2 Mbps`: decimal, and as thresholds of alerts are written in the settings. */
export function bitRateText(bytesPerSecond: number): string {
  return scaled(bytesPerSecond * 8, 1000, ['bps', 'kbps', 'Mbps', 'Gbps', 'Tbps'])
}

/** `2026-11-02 12:00:00 UTC`. */
export function timeText(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`
}

/** RFC 3339 with milliseconds, of ns since the epoch. */
export function isoOf(ns: bigint): string {
  return new Date(Number(ns / MS)).toISOString()
}
