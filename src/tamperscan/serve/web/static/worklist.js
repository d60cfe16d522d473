// The worklist: uploads, filters, and a table that keeps itself up to date.

import { request } from "./api.js";
import { byId, element } from "./dom.js";
import { offerUpload, setLimit } from "./upload.js";
import { DECISIONS, VERDICTS, bytes, chip, count, moment, probability, score, sentence } from "./words.js";

const PAGE = 50;
const QUIET_MS = 5000; // nothing is going on
const BUSY_MS = 1200; // something is waiting or running
const FILTERS = ["text", "verdict", "state", "decision"];

let offset = 0;
let timer = 0;
let asked = 0;
let shown = "";
const seen = new Map(); // job id -> what was told of it last

async function begin() {
  readAddress();
  for (const id of FILTERS) byId(id).addEventListener("input", () => refilter(id === "text" ? 250 : 0));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(refilter));
  byId("newer").addEventListener("click", () => turn(-PAGE));
  byId("older").addEventListener("click", () => turn(PAGE));
  byId("sign-out").addEventListener("click", signOut);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  offerUpload((job) => location.assign(`/read/${job.id}`));
  refresh();
  const about = await request("/api/about");
  byId("who").textContent = about.reviewer;
  byId("sign-out").hidden = !about.signed_in;
  setLimit(about.upload_limit);
  byId("limit").textContent = `At most ${bytes(about.upload_limit)}.`;
}

async function signOut() {
  await request("/api/logout", { method: "POST" });
  location.assign("/login");
}

/** Filters are kept in the address, so that "back" from a scan finds the list as it was. */
function readAddress() {
  const wanted = new URLSearchParams(location.search);
  for (const id of FILTERS) byId(id).value = wanted.get(id) ?? "";
  offset = Math.max(0, Number.parseInt(wanted.get("offset") ?? "0", 10) || 0);
}

function writeAddress() {
  const wanted = new URLSearchParams();
  for (const id of FILTERS) if (byId(id).value) wanted.set(id, byId(id).value);
  if (offset) wanted.set("offset", String(offset));
  const address = wanted.size ? `/?${wanted}` : "/";
  history.replaceState(null, "", address);
  sessionStorage.setItem("worklist", address); // where a scan leads back to
}

function refilter(delay = 0) {
  offset = 0;
  clearTimeout(timer);
  timer = setTimeout(refresh, delay);
}

function turn(by) {
  offset = Math.max(0, offset + by);
  refresh().then(() => byId("list").focus());
}

function question() {
  const wanted = new URLSearchParams({ limit: String(PAGE), offset: String(offset) });
  for (const id of ["text", "verdict", "state"]) if (byId(id).value.trim()) wanted.set(id, byId(id).value.trim());
  const decision = byId("decision").value;
  if (decision) wanted.set("decision", decision === "open" ? "" : decision);
  return `/api/jobs?${wanted}`;
}

async function refresh() {
  clearTimeout(timer);
  writeAddress();
  const number = ++asked;
  let wait = QUIET_MS;
  try {
    const page = await request(question());
    if (number !== asked) return; // a later question was asked meanwhile
    show(page);
    if (page.items.some((job) => job.state === "queued" || job.state === "running")) wait = BUSY_MS;
  } catch (error) {
    if (number !== asked) return;
    byId("count").textContent = error.message;
  }
  if (!document.hidden) timer = setTimeout(refresh, wait);
}

function show(page) {
  announce(page.items);
  const words = JSON.stringify(page);
  if (words === shown) return; // so that focus and selection stay where they are
  shown = words;
  const focused = document.activeElement?.closest?.("tr")?.dataset.job;
  byId("rows").replaceChildren(...page.items.map(row));
  if (focused) byId("rows").querySelector(`tr[data-job="${focused}"] a`)?.focus();
  byId("count").textContent = count(page.total, "scan", "scans");
  showEmpty(page);
  const last = Math.min(offset + PAGE, page.total);
  byId("pages").hidden = page.total <= PAGE && offset === 0;
  byId("page-words").textContent = page.total ? `${offset + 1} to ${last} of ${page.total}` : "";
  byId("newer").disabled = offset === 0;
  byId("older").disabled = last >= page.total;
}

function row(job) {
  const name = job.title || `${job.modality || "Scan"} ${job.id.slice(0, 8)}`;
  const link = element("a", { href: `/read/${job.id}` }, name);
  const note = sentence(job.state === "failed" ? job.error : job.note);
  const bar = element("progress", { max: "1", value: String(job.progress), "aria-label": `Progress of ${name}` });
  return element(
    "tr",
    { "data-job": job.id },
    element("td", {}, chip(job), job.state === "running" ? bar : null),
    element("th", { scope: "row" }, link, note ? element("span", { class: "note" }, note) : null),
    element("td", {}, job.modality || "-"),
    element("td", { class: "number" }, score(job.score)),
    element("td", { class: "number" }, probability(job.p_value)),
    element("td", {}, job.sender || { node: "Node", page: "This page", pull: "Archive" }[job.origin]),
    element("td", {}, moment(job.received)),
    element("td", {}, reviewed(job)),
  );
}

function reviewed(job) {
  if (!job.decision) return element("span", { class: "quiet" }, job.state === "done" ? "Not yet" : "-");
  const words = element("span", {}, DECISIONS[job.decision]);
  if (job.reviewer) words.append(element("span", { class: "note" }, job.reviewer));
  return words;
}

function showEmpty(page) {
  const filtered = FILTERS.some((id) => byId(id).value);
  byId("empty").hidden = page.items.length > 0;
  byId("empty").textContent = filtered
    ? "No scan meets these filters."
    : "Nothing has been screened yet. Drop a scan above, or send one to the node.";
}

/** Tell screen readers of what ended since the last look. */
function announce(jobs) {
  for (const job of jobs) {
    const before = seen.get(job.id);
    if (before && before !== job.state && job.state === "done") {
      byId("live").textContent = `${job.title}: ${VERDICTS[job.verdict] ?? "done"}.`;
    } else if (before && before !== job.state && job.state === "failed") {
      byId("live").textContent = `${job.title} failed.`;
    }
    seen.set(job.id, job.state);
  }
}

begin();
