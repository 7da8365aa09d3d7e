/** The position over a reload of the page: in the tab's `sessionStorage`, written when the page goes. */
export function keepPosition(key: string, position: () => string): void {
  addEventListener("pagehide", () => sessionStorage.setItem(key, position()));
}

export function keptPosition(key: string): string {
  return globalThis.sessionStorage?.getItem(key) ?? "";
}
