/** Functions by name. One that throws disturbs neither the others nor the connection. */
export class Handlers<Argument> {
  #byName = new Map<string, Set<(argument: Argument) => void>>();

  /** Returns the function that removes it. */
  add(name: string, handler: (argument: Argument) => void): () => void {
    const handlers = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** As an event target: a handler that is added meanwhile is not called, and one that is removed meanwhile is not, either. */
  call(name: string, argument: Argument): void {
    const handlers = this.#byName.get(name) ?? new Set();
    for (const handler of [...handlers]) {
      try {
        if (handlers.has(handler)) handler(argument);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** As an event listener that throws: in a page it reaches the console and `window.onerror`, Node ends. */
function report(error: unknown): void {
  if ("reportError" in globalThis) reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
