import type { StreamEvent } from "./event.js";

/** What a page shows of a run. Source: docs/runs.md. */
export interface RunState<Result = unknown> {
  state: "running" | "complete" | "failed" | "cancelled";
  /** The data of its last event while it runs. */
  progress?: unknown;
  result?: Result;
  error?: { code: string; message: string };
}

export const RUNNING: RunState = { state: "running" };

/** The state after one more event. */
export function afterEvent(run: RunState, { type, data, channel }: StreamEvent<any>): RunState {
  if (!channel?.startsWith("run:")) return run; // a gap, or what all listeners get
  if (type === "complete") return { ...run, state: type, result: data };
  if (type === "failed") return { ...run, state: type, error: data };
  if (type === "cancelled") return { ...run, state: type };
  return { ...run, progress: data };
}
