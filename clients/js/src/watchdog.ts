const STALE = 1.5;
const SILENT = 2.5;
/** Timers stand still while the machine sleeps, so the clock is looked at more often. */
const LOOK_MS = 5_000;

/** Tells when a connection is silent: a dead network path raises no error. Counted in heartbeats of the server. */
export class Watchdog {
  #lastMs = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly heartbeatMs: number,
    readonly onStale: () => void,
    readonly onSilent: () => void,
  ) {
    this.fed();
  }

  /** The connection has sent something. */
  fed(): void {
    this.#lastMs = Date.now();
    if (!this.#timer) this.#watch(STALE);
  }

  /** By the clock: timers may have slept with the machine. */
  get isSilent(): boolean {
    return this.#silence >= SILENT;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get #silence(): number {
    return (Date.now() - this.#lastMs) / this.heartbeatMs;
  }

  /** One timer for any number of events: it looks, when it fires, whether there was one. */
  #watch(heartbeats: number): void {
    const ms = Math.ceil((heartbeats - this.#silence) * this.heartbeatMs);
    this.#timer = setTimeout(() => this.#look(), Math.min(ms, LOOK_MS));
  }

  #look(): void {
    if (this.isSilent) return this.onSilent();
    const isStale = this.#silence >= STALE;
    if (isStale) this.onStale();
    this.#watch(isStale ? SILENT : STALE);
  }
}
