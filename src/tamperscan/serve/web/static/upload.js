// Taking scans: by the file dialogs, or dropped anywhere on the page, folders too.

import { upload } from "./api.js";
import { byId } from "./dom.js";
import { bytes, count } from "./words.js";

let current = null;
let limit = Infinity;

/** Most bytes of an upload: what is larger is not even begun. */
export function setLimit(bytes) {
  limit = bytes;
}

/** Wire up the upload area; `onDone` gets the job. */
export function offerUpload(onDone) {
  const start = (files) => send(files, onDone);
  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", () => {
      const chosen = [...byId(input).files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      byId(input).value = ""; // so that the same file can be chosen again
      start(chosen);
    });
  }
  byId("upload-cancel").addEventListener("click", () => current?.cancel());
  acceptDrops(start);
}

function acceptDrops(start) {
  let depth = 0; // dragenter and dragleave come for every element on the way
  const veil = byId("veil");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (hasFiles(event)) veil.hidden = ++depth === 0;
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event) && --depth <= 0) veil.hidden = true;
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = entries.length ? [] : [...event.dataTransfer.files].map((file) => ({ file, path: file.name }));
    for (const entry of entries) await collect(entry, files);
    start(files);
  });
}

async function collect(entry, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    files.push({ file, path: entry.fullPath.slice(1) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return;
    for (const one of some) await collect(one, files);
  }
}

async function send(files, onDone) {
  const problem = byId("upload-problem");
  problem.hidden = true;
  if (!files.length || current) return;
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  if (size > limit) {
    problem.textContent = `These are ${bytes(size)}, more than the ${bytes(limit)} that one upload may hold. Send one series at a time.`;
    problem.hidden = false;
    return;
  }
  byId("upload").hidden = false;
  byId("upload-words").textContent = `Sending ${count(files.length, "file", "files")}`;
  current = upload(files, (here, total) => showProgress(here, total));
  try {
    onDone(await current.done);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  } finally {
    current = null;
    byId("upload").hidden = true;
  }
}

function showProgress(here, total) {
  const bar = byId("upload-bar");
  bar.max = total || 1;
  bar.value = here;
  byId("upload-words").textContent =
    here < total ? `${bytes(here)} of ${bytes(total)} sent` : "All sent; looking into it";
}
