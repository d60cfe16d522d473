// One scan: waits until it is screened, then shows the images, the findings and what may be done with them.

import { ApiError, request } from "./api.js";
import { byId, element } from "./dom.js";
import { listenToKeys } from "./keys.js";
import { Panel } from "./panel.js";
import { Review } from "./review.js";
import { Viewer } from "./viewer.js";
import { STATES, chip, sentence } from "./words.js";

const POLL_MS = 1000;
const id = location.pathname.split("/").pop();
let told = "";
let retrying = false;

async function begin() {
  byId("retry").addEventListener("click", retry);
  const back = sessionStorage.getItem("worklist");
  if (back) byId("back").href = back;
  try {
    const job = await request(`/api/jobs/${id}`);
    if (job.state === "done") await read(job);
    else await wait(job);
  } catch (error) {
    sayNothingThere(error);
  }
}

/** Show how far the job is, and ask again until it is done. */
async function wait(job) {
  for (;;) {
    entitle(job);
    if (job.state === "done") return read(job);
    showState(job);
    if (job.state === "failed" || job.state === "skipped") {
      if (!retrying) return undefined;
    } else {
      retrying = false;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      job = await request(`/api/jobs/${id}`);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 0) throw error;
      byId("waiting-words").textContent = error.message; // and ask again: it may be starting anew
    }
  }
}

function entitle(job) {
  const name = job.title || `${job.modality || "Scan"} ${job.id.slice(0, 8)}`;
  byId("title").textContent = name;
  document.title = `${name} - tamperscan`;
  byId("verdict").replaceChildren(chip(job));
}

function showState(job) {
  byId("waiting").hidden = false;
  byId("waiting-title").textContent = { failed: "Could not be screened", skipped: "Not screened" }[job.state] ?? STATES[job.state];
  const bar = byId("waiting-bar");
  bar.hidden = job.state !== "running" && job.state !== "queued";
  if (job.state === "running") bar.value = job.progress;
  else bar.removeAttribute("value");
  byId("waiting-words").textContent = waitingWords(job);
  byId("retry").hidden = job.state !== "failed";
  const tenth = job.state === "running" ? `${Math.floor(job.progress * 10) * 10} % screened` : STATES[job.state];
  if (tenth !== told) byId("live").textContent = told = tenth; // not with every percent
}

function waitingWords(job) {
  if (job.state === "failed") return sentence(job.error) + (job.attempts > 1 ? ` It was tried ${job.attempts} times.` : "");
  if (job.state === "skipped") return job.note || "The rules of the node say so.";
  if (job.state === "running") return `${Math.round(job.progress * 100)} % screened. This page goes on by itself.`;
  if (job.error) return `It failed and is tried again soon. ${sentence(job.error)}`;
  return "It is screened when its turn comes. This page goes on by itself.";
}

async function retry() {
  byId("retry").hidden = true;
  retrying = true;
  try {
    wait(await request(`/api/jobs/${id}/retry`, { method: "POST" }));
  } catch (error) {
    byId("waiting-words").textContent = error.message;
  }
}

function sayNothingThere(error) {
  byId("reading").hidden = true;
  byId("waiting").hidden = false;
  byId("waiting-title").textContent = error.status === 404 || error.status === 422 ? "No such scan" : "This can't be shown";
  byId("waiting-words").textContent = error.message;
  byId("title").textContent = "Scan";
}

async function read(job) {
  entitle(job);
  byId("live").textContent = byId("verdict").textContent;
  const results = await request(`/api/jobs/${id}/scans`);
  if (!results.length) throw new ApiError(404, "The results of this scan are gone from the disk. Screen it again.");
  byId("waiting").hidden = true;
  byId("reading").hidden = false;
  byId("help-open").hidden = false;
  byId("note").hidden = !job.note;
  byId("note").textContent = sentence(job.note);
  const about = request("/api/about");
  const viewer = new Viewer();
  const panel = new Panel(viewer);
  new Review(job, await about);
  byId("disclaimer").textContent = (await about).disclaimer;
  listenToKeys(viewer, panel);
  offerScans(results, (result) => showScan(result, viewer, panel));
  await showScan(mostSuspicious(results), viewer, panel);
}

function mostSuspicious(results) {
  const rank = { suspicious: 0, clear: 1, abstained: 2 };
  const order = (one, other) => rank[one.verdict] - rank[other.verdict] || (one.p_value ?? 1) - (other.p_value ?? 1);
  return [...results].sort(order)[0];
}

function offerScans(results, onChoice) {
  const choice = byId("scan-number");
  byId("scan-choice").hidden = results.length < 2;
  choice.replaceChildren(...results.map(({ number, name }) => element("option", { value: number }, `${number + 1}: ${name}`)));
  choice.value = String(mostSuspicious(results).number);
  choice.addEventListener("change", () => onChoice(results[Number(choice.value)]));
}

async function showScan(result, viewer, panel) {
  const document = await request(result.document);
  panel.show(document, result);
  await viewer.show(document, result.volumes);
}

begin();
