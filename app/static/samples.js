/** The samples of machines in the words of the panel. */

/** The last five minutes, if they were watched: a sample every two seconds. */
export const STREAM = "dashboard/stream?history=150";
export const MAX_SAMPLES = 150;

export function statusOf({ host, timestamp, cpu, memory, requests, listeners, events_per_second }) {
  const total = memory.used + memory.available;
  const data = {
    cpu_percent: cpu.usage, cpu_count: cpu.cores, memory_percent: (100 * memory.used) / total,
    memory_used_bytes: memory.used, memory_total_bytes: total,
    listeners, events_per_second, requests: requests.total, requests_failed: requests.failed, threads: cpu.threads,
  };
  return { name: host, kind: "machine", state: "online", time: timestamp, data };
}
