// How results are said: the same words as in the reports.

import { drawn, element } from "./dom.js";

export const VERDICTS = {
  suspicious: "Suspicious",
  clear: "Nothing found",
  abstained: "Not judged",
};

export const STATES = {
  queued: "Waiting",
  running: "Running",
  done: "Done",
  failed: "Failed",
  skipped: "Skipped",
};

export const DECISIONS = { confirmed: "Confirmed", dismissed: "Dismissed" };

/** A label for what came of a job: its verdict, or its state where it has none. Shape and word tell, not colour alone. */
export function chip(job) {
  const kind = job.verdict && job.state === "done" ? job.verdict : job.state;
  const word = VERDICTS[kind] ?? STATES[kind] ?? kind;
  const percent = kind === "running" ? ` ${Math.round(job.progress * 100)} %` : "";
  return element("span", { class: `chip ${kind}` }, mark(kind), word + percent);
}

const MARKS = {
  suspicious: "M6 1 11 10.5H1Z",
  clear: "M6 1.2A4.8 4.8 0 1 1 6 10.8 4.8 4.8 0 0 1 6 1.2",
  abstained: "M1.5 4.8h9v2.4h-9Z",
  failed: "M2.6 1 6 4.4 9.4 1 11 2.6 7.6 6 11 9.4 9.4 11 6 7.6 2.6 11 1 9.4 4.4 6 1 2.6Z",
  running: "M2 1 11 6 2 11Z",
  queued: "M2 2h3v8H2Zm5 0h3v8H7Z",
  skipped: "M1 1l5 5-5 5Zm5 0l5 5-5 5Z",
};

function mark(kind) {
  const shape = drawn("svg", { viewBox: "0 0 12 12", width: "10", height: "10", "aria-hidden": "true" });
  shape.append(drawn("path", { d: MARKS[kind] ?? MARKS.queued }));
  return shape;
}

export function score(value) {
  return value === null || value === undefined ? "-" : String(Number(value.toPrecision(3)));
}

export function probability(value) {
  return value === null || value === undefined ? "-" : String(Number(value.toPrecision(2)));
}

/** "14:05" today, "3 Nov 14:05" this year, else with the year; the whole time is in the title of `moment`. */
export function moment(iso) {
  if (!iso) return element("span", {}, "-");
  const when = new Date(iso);
  const now = new Date();
  const clock = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = when.toLocaleDateString([], { day: "numeric", month: "short" });
  const year = when.getFullYear() === now.getFullYear() ? "" : ` ${when.getFullYear()}`;
  const words = when.toDateString() === now.toDateString() ? clock : `${day}${year} ${clock}`;
  return element("time", { datetime: iso, title: when.toString() }, words);
}

export function bytes(count) {
  let amount = count;
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (amount < 1024 || unit === "GiB") return `${Number(amount.toPrecision(3))} ${unit}`;
    amount /= 1024;
  }
  return "";
}

/** A problem as a sentence: with a capital and one full stop. */
export function sentence(words) {
  const text = words.trim();
  return text ? `${text[0].toUpperCase()}${text.slice(1)}`.replace(/[.]*$/, ".") : "";
}

export function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}
