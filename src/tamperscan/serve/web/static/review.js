// What the reader makes of the result: kept with the job, and in the audit trail.

import { request } from "./api.js";
import { byId } from "./dom.js";
import { DECISIONS } from "./words.js";

const NAME = "tamperscan.reviewer";

export class Review {
  constructor(job, about) {
    this.id = job.id;
    this.known = about.reviewer;
    byId("reviewer").hidden = Boolean(this.known);
    byId("reviewer").value = localStorage.getItem(NAME) ?? "";
    byId("decision-form").addEventListener("submit", (event) => this.keep(event));
    this.show(job);
  }

  show(job) {
    const words = DECISIONS[job.decision];
    byId("decided").textContent = words ? `${words} by ${job.reviewer || "unknown"}.` : "Nobody has looked at this yet.";
    for (const choice of document.getElementsByName("decision")) choice.checked = choice.value === job.decision;
    byId("comment").value = job.comment;
  }

  async keep(event) {
    event.preventDefault();
    const decision = new FormData(byId("decision-form")).get("decision") ?? "";
    const reviewer = byId("reviewer").value.trim();
    localStorage.setItem(NAME, reviewer);
    byId("decide").disabled = true;
    try {
      const json = { decision, comment: byId("comment").value, reviewer };
      this.show(await request(`/api/jobs/${this.id}/decision`, { method: "PUT", json }));
      byId("decision-words").textContent = "Kept.";
    } catch (error) {
      byId("decision-words").textContent = error.message;
    } finally {
      byId("decide").disabled = false;
    }
  }
}
