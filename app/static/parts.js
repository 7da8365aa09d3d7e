/** The elements a view fills, by their `data-part`: the template owns the markup, a module only the text. */
export function parts(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

/** Writes only what differs: a live region is read aloud when written to, even with the same words. */
export function say(elements, texts) {
  for (const [name, text] of Object.entries(texts)) if (elements[name].textContent !== text) elements[name].textContent = text;
}
