/** The few things about the process that operators look at: memory, processor time, a blocked event loop. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

/** Returns the watch on the event loop, which does not run yet. */
export function registerProcessMetrics(registry: Registry, prefix: string): { start(): void; stop(): void } {
  const registers = [registry]
  const delay = monitorEventLoopDelay({ resolution: 20 })

  new Gauge({
    name: `${prefix}process_start_time_seconds`,
    help: 'When the process began.',
    registers,
  }).set(performance.timeOrigin / 1000)
  new Gauge({
    name: `${prefix}process_resident_memory_bytes`,
    help: 'Memory of the process.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Gauge({
    name: `${prefix}process_heap_bytes`,
    help: 'Memory that JavaScript objects use.',
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed)
    },
  })
  new Counter({
    name: `${prefix}process_cpu_seconds_total`,
    help: 'Processor time used.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  new Gauge({
    name: `${prefix}event_loop_lag_seconds`,
    help: 'How late timers fired since the last scrape, 99th percentile.',
    registers,
    collect() {
      // The histogram measures the whole pause between two timers; what exceeds the pause asked for is the lag.
      this.set(Math.max(0, (delay.percentile(99) || 0) / 1e9 - 0.02))
      delay.reset()
    },
  })
  return { start: () => void delay.enable(), stop: () => void delay.disable() }
}
