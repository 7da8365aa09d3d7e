/**
 * The token of this tab, which its field shows. Unless the field says no, it is kept until the tab is closed, so that a reload goes on.
 * Where the field says `tokens`, a publish key is not kept.
 */

const KEY = "simulcast-token";
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const field = document.querySelector("input[name=token]");

if (field.dataset.kept !== "no") {
  field.value = sessionStorage.getItem(KEY) ?? "";
  field.addEventListener("change", () => {
    if (field.dataset.kept !== "tokens" || JWT.test(field.value)) sessionStorage.setItem(KEY, field.value);
  });
}
field.form.addEventListener("submit", (event) => event.preventDefault());

export const token = () => field.value;

/** The header that a request has, if there is a token. */
export const credentials = () => (field.value ? { Authorization: `Bearer ${field.value}` } : {});

/** Calls `handler` when another token was typed. */
export const onToken = (handler) => field.addEventListener("change", handler);
