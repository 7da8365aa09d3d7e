/** Calls `handler` when the network or the tab comes back. Returns the function that ends it. Outside of pages: nothing to do. */
export function onWake(handler: () => void): () => void {
  const page = globalThis.document;
  if (!page) return () => {};
  const onVisible = () => page.visibilityState === "visible" && handler();
  addEventListener("online", handler);
  page.addEventListener("visibilitychange", onVisible);
  return () => {
    removeEventListener("online", handler);
    page.removeEventListener("visibilitychange", onVisible);
  };
}
