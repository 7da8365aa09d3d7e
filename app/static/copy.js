/** Buttons that copy the text of an element. */

import { t } from "./text.js";

const COPIED_MS = 2_000;

/** Makes each button with `data-copies` copy the element that has this id. */
export function wireCopies(root = document) {
  for (const button of root.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => copy(document.getElementById(button.dataset.copies), button));
  }
}

/** Without https a browser has no clipboard for pages, but copies what is selected. */
export async function copy(source, button) {
  const isCopied = (await navigator.clipboard?.writeText(source.textContent).then(() => true, () => false)) || copySelected(source);
  button.textContent = t(isCopied ? "shell.copied" : "shell.copy.failed");
  setTimeout(() => (button.textContent = t("shell.copy")), COPIED_MS);
}

function copySelected(source) {
  getSelection().selectAllChildren(source);
  return document.execCommand("copy");
}
