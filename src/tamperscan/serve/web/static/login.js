// Exchanges the token for a cookie, which scripts can't read.

import { ApiError, request } from "./api.js";
import { byId } from "./dom.js";

const problem = byId("problem");

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  try {
    await request("/api/login", { method: "POST", json: { token: byId("token").value } });
    location.assign("/");
  } catch (error) {
    problem.textContent = error instanceof ApiError ? error.message : "The page does not answer.";
    problem.hidden = false;
    byId("token").select();
  }
});
