/** Figures as text. The unit is the end of the key (`_bytes`, `_percent`, `_seconds`, `_ms`), so any agent's data reads well. */

import { has, language, number, t } from "./text.js";

const MAX_TEXT = 300;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DURATION_UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const UNIT = /_(bytes|percent|seconds|ms)$/;
/** Numbers that are names: written without thousands separators and without a unit. */
const NUMBERED = /(^|_)(id|pid|port)$/;

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

export const time = (ms) => (Math.abs(Date.now() - ms) < DAY_MS ? clock : calendar).format(ms);

/** At most three digits: `1.4 GiB`, `612 MiB`. */
export function bytes(value) {
  const power = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  const scaled = value / 1024 ** power;
  return `${(power > 0 && scaled < 100 ? tenths : whole).format(scaled)} ${BYTE_UNITS[power]}`;
}

/** The two largest units: `3 d 4 h`, `12 min 5 s`. */
export function duration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const counts = DURATION_UNITS.map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return [count, unit];
  });
  const first = counts.findIndex(([count, unit]) => count > 0 || unit === "second");
  return counts.slice(first, first + 2).map(([count, unit]) => t(`shell.${unit}`, { count })).join(" ");
}

const UNITS = { bytes, percent: (value) => `${tenths.format(value)} %`, seconds: duration, ms: (value) => `${number(value)} ms` };

/** Any JSON value in one line. A nested object becomes its labelled figures. */
export function figure(key, value) {
  if (typeof value === "number") return NUMBERED.test(key) ? String(value) : (UNITS[UNIT.exec(key)?.[1]] ?? number)(value);
  if (typeof value === "boolean") return t(value ? "shell.yes" : "shell.no");
  if (Array.isArray(value)) return value.map((item) => figure(key, item)).join(", ").slice(0, MAX_TEXT);
  if (value === null || typeof value === "string") return (value ?? t("shell.none")).slice(0, MAX_TEXT);
  return Object.entries(value).map(([inner, each]) => `${label(inner).toLowerCase()} ${figure(inner, each)}`).join(", ").slice(0, MAX_TEXT);
}

export function label(key) {
  const words = key.replace(UNIT, "").replaceAll("_", " ");
  return has(`shell.figure.${key}`) ? t(`shell.figure.${key}`) : words.charAt(0).toUpperCase() + words.slice(1);
}
