/** The elements that a view fills, by their `data-part`: the template owns the markup, a module only the text. */
export function parts(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

/** Writes only texts that differ: screen readers announce a live region after each write, even of the same text. */
export function say(elements, texts) {
  for (const [name, text] of Object.entries(texts)) if (elements[name].textContent !== text) elements[name].textContent = text;
}

/** A new element with this text, which is never read as HTML. */
export function element(name, className = "", text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}
