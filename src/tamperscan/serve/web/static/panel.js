// What stands beside the images: the result in words, the findings, the downloads, the scores of all slices.

import { byId, element } from "./dom.js";
import { bytes, probability, score } from "./words.js";

const SENTENCES = {
  suspicious: "This scan differs from what authentic scans look like.",
  clear: "Nothing was found that differs from what authentic scans look like. This does not show that the scan is authentic.",
  abstained: "This scan could not be judged, so nothing is said about it. Treat it as not screened.",
};

export class Panel {
  constructor(viewer) {
    this.viewer = viewer;
    this.active = -1;
    viewer.onSlice = (slice) => this.markSlice(slice);
    byId("slice-table").addEventListener("toggle", () => this.fillSlices());
  }

  show(document, result) {
    this.document = document;
    byId("sentence").textContent = SENTENCES[document.verdict];
    byId("reasons").replaceChildren(...document.reasons.map((reason) => element("li", {}, reason)));
    byId("why").open = document.verdict === "abstained";
    byId("figures").replaceChildren(...this.figures());
    byId("warnings").replaceChildren(...document.scan.warnings.map((words) => element("p", { class: "warning" }, words)));
    byId("findings").replaceChildren(...document.findings.map((finding, index) => this.finding(finding, index)));
    byId("no-findings").hidden = document.verdict === "suspicious";
    byId("no-findings").textContent = noFindings(document);
    byId("downloads").replaceChildren(...result.downloads.map(link));
    byId("fact-list").replaceChildren(...facts(document));
    byId("slice-rows").replaceChildren();
    this.fillSlices();
    this.setActive(document.findings.length ? 0 : -1);
  }

  figures() {
    const { score: value, p_value: chance, alarm_rate: rate, slices } = this.document;
    const measured = slices.filter((slice) => slice.score !== null).length;
    return pairs([
      ["Score", score(value)],
      ["p-value", probability(chance)],
      ["Alarm rate", probability(rate)],
      ["Slices", `${measured} of ${slices.length}`],
    ]);
  }

  finding(finding, index) {
    const [slice] = finding.centre;
    const alarming = finding.p_value !== null && finding.p_value <= this.document.alarm_rate;
    const size = finding.size_mm.map((extent) => extent.toFixed(0)).join(" x ");
    const evidence = finding.evidence ? element("p", { class: "evidence" }, finding.evidence) : null;
    const button = element(
      "button",
      { type: "button", class: `finding${alarming ? " alarming" : ""}`, onclick: () => this.goFinding(index) },
      element("span", { class: "number" }, String(index + 1)),
      element("span", { class: "what" }, `Slice ${slice}: ${finding.sign}`),
      element("span", { class: "figure" }, `p ${probability(finding.p_value)}`),
      element("span", { class: "detail" }, `${size} mm, score ${score(finding.score)}${alarming ? ", raises the alarm" : ""}`),
    );
    return element("li", {}, button, evidence);
  }

  goFinding(index) {
    const { findings } = this.document;
    if (!findings.length) return;
    const bounded = (index + findings.length) % findings.length;
    this.setActive(bounded);
    this.viewer.goPlace(findings[bounded].centre);
    byId("live").textContent = `Finding ${bounded + 1}, slice ${findings[bounded].centre[0]}`;
  }

  setActive(index) {
    this.active = index;
    this.viewer.document && this.viewer.markActive(index);
    [...byId("findings").children].forEach((item, position) => {
      const button = item.querySelector("button");
      if (position === index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      const evidence = item.querySelector(".evidence");
      if (evidence) evidence.hidden = position !== index;
    });
  }

  markSlice(slice) {
    byId("slice-rows").querySelector("[aria-current]")?.removeAttribute("aria-current");
    byId("slice-rows").children[slice]?.setAttribute("aria-current", "true");
  }

  /** The table is made only when it is opened: it may have a thousand rows. */
  fillSlices() {
    const rows = byId("slice-rows");
    if (!byId("slice-table").open || rows.children.length || !this.document) return;
    rows.replaceChildren(
      ...this.document.slices.map((slice) => {
        const go = element("button", { type: "button", class: "plain", onclick: () => this.goSlice(slice) }, String(slice.index));
        return element(
          "tr",
          {},
          element("th", { scope: "row", class: "number" }, go),
          element("td", { class: "number" }, score(slice.score)),
          element("td", { class: "number" }, probability(slice.p_value)),
        );
      }),
    );
  }

  goSlice(slice) {
    if (slice.peak) this.viewer.goPlace([slice.index, ...slice.peak]);
    else this.viewer.goSlice(slice.index);
  }
}

function noFindings({ verdict, findings }) {
  if (verdict === "abstained") return "Nothing is said about any place.";
  return findings.length ? "The places that stand out most. None raises the alarm." : "No place stands out.";
}

function link({ label, url, bytes: size }) {
  const shown = url.endsWith(".html") || url.endsWith(".pdf");
  const properties = shown ? { href: url, target: "_blank", rel: "noopener" } : { href: url, download: "" };
  return element("li", {}, element("a", properties, label), size ? element("span", { class: "quiet" }, ` ${bytes(size)}`) : null);
}

function facts({ scan, detector, created, seconds, tamperscan_version: version }) {
  const [slices, rows, columns] = scan.shape;
  return pairs([
    ["Name", scan.name],
    ["Modality", scan.modality],
    ["Slices, rows, columns", `${slices} x ${rows} x ${columns}`],
    ["Voxel spacing", `${scan.spacing_mm.map((step) => Number(step.toPrecision(3))).join(" x ")} mm`],
    ...Object.entries(scan.metadata),
    ["SHA-256 of the pixel data", scan.pixel_sha256 || "-"],
    ["Detector", detector.name],
    ["SHA-256 of its weights", detector.weights_sha256 || "-"],
    ["tamperscan", version],
    ["Screened", `${new Date(created).toLocaleString()}, in ${seconds.toFixed(1)} s`],
  ]);
}

function pairs(rows) {
  return rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
}
