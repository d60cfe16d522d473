// Talking to the API: JSON there and back, refusals as errors in plain words, uploads with their progress.

/** A refusal. `message` is for people; `status` is 0 where nothing answered. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the API; `json` is sent as the body. Gives the answer, null where it is empty. */
export async function request(address, { method = "GET", json, signal } = {}) {
  const options = { method, signal, headers: { Accept: "application/json" }, credentials: "same-origin" };
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The page's server does not answer. Is it still running?");
  }
  if (answer.status === 401 && location.pathname !== "/login") location.assign("/login");
  if (!answer.ok) throw new ApiError(answer.status, await refusal(answer));
  return answer.status === 204 ? null : answer.json();
}

async function refusal(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `The server refused this (${answer.status}).`;
  }
}

/** Fetch a file, telling how much of it is here, 0 to 1. */
export async function download(address, onProgress, signal) {
  const answer = await fetch(address, { signal, credentials: "same-origin" });
  if (!answer.ok) throw new ApiError(answer.status, await refusal(answer));
  const total = Number(answer.headers.get("Content-Length")) || 0;
  const parts = [];
  let here = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    here += value.length;
    if (total) onProgress(here / total);
  }
  return new Blob(parts).arrayBuffer();
}

/** Send files as one upload. Gives the job; `cancel` on the promise's `control` breaks it off. */
export function upload(files, onProgress) {
  const form = new FormData();
  for (const { file, path } of files) form.append("file", file, path);
  const sending = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    sending.addEventListener("load", () => finish(sending, resolve, reject));
    sending.addEventListener("error", () =>
      reject(new ApiError(0, "The upload broke off. The server may have refused it because of its size, or ended.")),
    );
    sending.addEventListener("abort", () => reject(new ApiError(0, "The upload was cancelled.")));
  });
  sending.open("POST", "/api/scans");
  sending.send(form);
  return { done, cancel: () => sending.abort() };
}

function finish(sending, resolve, reject) {
  let answer = null;
  try {
    answer = JSON.parse(sending.responseText);
  } catch {
    // told below
  }
  if (sending.status === 201 && answer) resolve(answer);
  else reject(new ApiError(sending.status, answer?.detail ?? `The server refused this (${sending.status}).`));
}
