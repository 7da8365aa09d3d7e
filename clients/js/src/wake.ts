/**
 * Calls `onBack` when the network or the tab comes back, and `onThaw` when the browser had frozen the page: Chromium then holds its
 * answers back for good. Returns the function that ends it. Outside of pages: nothing to do.
 */
export function onWake(onBack: () => void, onThaw: () => void): () => void {
  const page = globalThis.document;
  if (!page) return () => {};
  const onVisible = () => page.visibilityState === "visible" && onBack();
  const gone = new AbortController();
  const { signal } = gone;
  addEventListener("online", onBack, { signal });
  page.addEventListener("visibilitychange", onVisible, { signal });
  page.addEventListener("resume", onThaw, { signal });
  return () => gone.abort();
}
