/** The texts of this page, in its language. The template has them beside the markup. */

const texts = JSON.parse(document.getElementById("texts").textContent);

export const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const hundredths = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Always two decimals or none, so that figures that change every second keep their width. */
export const number = (value) => (Number.isInteger(value) ? whole : hundredths).format(value);

export const has = (key) => key in texts;

/** A text with these values in it. One that has plural forms is chosen by the value `count`. */
export function t(key, values = {}) {
  const text = texts[key];
  const form = typeof text === "string" ? text : text[plural.select(values.count)] ?? text.other;
  return form.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

/** A text for one of many things, such as a reason; the thing's own name if there is no text for it. */
export const named = (kind, name, values) => (has(`${kind}.${name}`) ? t(`${kind}.${name}`, values) : String(name));
