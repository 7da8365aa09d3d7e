/** IndexedDB by promises, as far as the pages of `offline.ts` need it. */

export type Stores = Record<string, { index?: string }>;

/** Opens a database of this page's origin. Its stores are made at the first opening, each with keys that count up. */
export function openDatabase(name: string, stores: Stores): Promise<IDBDatabase> {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => {
    for (const [store, { index }] of Object.entries(stores)) {
      const made = opening.result.createObjectStore(store, { keyPath: "number", autoIncrement: true });
      if (index) made.createIndex(index, index);
    }
  };
  return done(opening);
}

/** The result of one request. */
export function done<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
