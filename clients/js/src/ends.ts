/** How a try ends. */
export interface End {
  reason: string;
  reconnect: boolean;
  /** Milliseconds that the server asked the client to wait. */
  askedMs?: number | undefined;
}

export const LOST: End = { reason: "lost", reconnect: true };
export const UNREACHABLE: End = { reason: "unreachable", reconnect: true };
export const SILENT: End = { reason: "silent", reconnect: true };
/** The answer has begun, but its first event, which is sent at once, has not come. */
export const BUFFERED: End = { reason: "buffered", reconnect: true };
/** Only of transports that can't be made to wait: the rest comes again, once there is room. */
export const SLOW: End = { reason: "slow", reconnect: true };
/** Other channels are wanted. */
export const RECHANNEL: End = { reason: "channels", reconnect: true };
