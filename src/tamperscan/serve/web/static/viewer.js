// The images: the scan with the suspicion over it, beside it the noise residual, and what steers them.

import { ApiError, download } from "./api.js";
import { byId, element } from "./dom.js";
import { Pane } from "./pane.js";
import { Strip } from "./strip.js";
import { inWords, presets } from "./windows.js";
import { probability, score } from "./words.js";

const COLOURS_OVER_LINE = 1.5; // the colours reach at least so far over what makes a scan suspicious
const NOISE_SHARE = 0.6; // of the residual's robust range, so that texture shows

export class Viewer {
  constructor() {
    this.strip = new Strip(byId("strip"), (slice) => this.goSlice(slice));
    this.onSlice = () => {};
    this.lines = []; // measurements: `{ ends, words }`
    this.loading = new AbortController();
    this.wire();
  }

  /** Load a scan's volumes and show its first finding, else its middle. */
  async show(document, volumes) {
    this.loading.abort();
    this.loading = new AbortController();
    this.document = document;
    this.volumes = volumes;
    this.closeResidual();
    const [slices, rows, columns] = document.scan.shape;
    this.count = slices;
    this.strip.show(document.slices, document.findings, document.detector.settings.slice_threshold ?? null);
    const first = document.findings[0]?.centre ?? [slices >> 1, rows >> 1, columns >> 1];
    this.strip.set(first[0]);
    if (!volumes.scan) {
      this.say("The images were not kept with this result. The report and the scores are there.");
      return;
    }
    try {
      await this.load(first);
      this.say("");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.say(problemWith(error));
    }
  }

  async load(first) {
    const signal = this.loading.signal;
    const say = (here) => this.say(`Loading the scan: ${Math.round(here * 100)} %`);
    const [scan, heat] = [download(this.volumes.scan, say, signal), this.loadSuspicion(signal)];
    if (!this.pane) {
      this.pane = new Pane(byId("scan-canvas"), byId("scan-marks"));
      await this.pane.attach();
      this.pane.onMove = (place) => this.moved(place);
      this.pane.onMeasured = (ends) => this.measured(ends);
    }
    this.pane.clear();
    this.clearMeasurements();
    const bytes = [await scan, await heat];
    this.say("Unpacking the scan");
    await new Promise((resolve) => setTimeout(resolve)); // so that the words are seen
    await this.pane.show("scan", bytes[0], {
      window: (volume) => this.offerWindows(presets(this.document.scan.modality, volume)),
      heat: bytes[1] && { bytes: bytes[1], ...this.overlay(), most: this.most },
    });
    this.tellWindow();
    this.pane.setRings(this.rings(0));
    this.pane.go(first);
  }

  /** Fetch the map of suspicion and set its sliders; null where nothing was measured. */
  async loadSuspicion(signal) {
    const there = Boolean(this.volumes.suspicion);
    for (const id of ["overlay", "opacity", "threshold"]) byId(id).disabled = !there;
    if (there) {
      const highest = Math.max(1e-6, ...this.document.slices.map((slice) => slice.score ?? 0));
      // At first only what makes a scan suspicious is coloured, and nothing in one that is not.
      const line = this.document.detector.settings.slice_threshold ?? 0.5 * highest;
      this.most = Math.max(highest, COLOURS_OVER_LINE * line);
      byId("threshold").max = String(this.most);
      byId("threshold").value = String(line);
    }
    this.setOverlay();
    return there ? download(this.volumes.suspicion, () => {}, signal) : null;
  }

  overlay() {
    const shown = byId("overlay").checked;
    return { opacity: shown ? Number(byId("opacity").value) / 100 : 0, from: Number(byId("threshold").value) };
  }

  setOverlay() {
    const { from } = this.overlay();
    const words = byId("threshold").disabled ? "no map" : score(from);
    byId("threshold-words").textContent = words;
    byId("threshold").setAttribute("aria-valuetext", `suspicion ${words} and more`);
    byId("scale").hidden = !byId("overlay").checked || byId("overlay").disabled;
    byId("scale").querySelector("i").style.setProperty("--from", `${(100 * from) / (this.most || 1)}%`);
    byId("scale-low").textContent = "0";
    byId("scale-high").textContent = score(this.most);
    this.pane?.setOverlay(this.overlay());
  }

  /** Offer presets and give the first of them, as NiiVue names its ends. */
  offerWindows(all) {
    this.presets = all;
    byId("window").replaceChildren(...all.map(({ key, name }) => element("option", { value: key }, name)));
    return { cal_min: all[0].low, cal_max: all[0].high };
  }

  setWindow(preset) {
    if (!preset) return;
    byId("window").value = preset.key;
    this.pane.setWindow(preset.low, preset.high);
    this.tellWindow();
  }

  tellWindow() {
    const { cal_min: low, cal_max: high } = this.pane.volume;
    byId("scan-caption").textContent = `Scan  ${inWords(low, high)}`;
  }

  goSlice(slice) {
    if (!this.count) return;
    const bounded = Math.min(this.count - 1, Math.max(0, slice));
    this.strip.set(bounded);
    if (!this.pane?.volume) return;
    const [, row, column] = this.pane.here;
    this.pane.go([bounded, row, column]);
  }

  get slice() {
    return this.strip.now;
  }

  goPlace(voxel) {
    this.strip.set(voxel[0]);
    this.pane?.volume && this.pane.go(voxel);
  }

  rings(active = -1) {
    return this.document.findings.map((finding, index) => ({
      number: index + 1,
      centre: finding.centre,
      sliceRange: finding.slice_range,
      size: finding.size_mm,
      active: index === active,
    }));
  }

  markActive(index) {
    for (const pane of [this.pane, this.residual]) if (pane?.volume) pane.setRings(this.rings(index));
  }

  /** NiiVue says that the cross is elsewhere: by the mouse, or because we moved it. */
  moved(place) {
    const voxel = this.pane.here;
    this.strip.set(voxel[0]);
    this.onSlice(voxel[0]);
    const [value, heat] = place.values.map((one) => one.value);
    const unit = this.document.scan.modality === "CT" ? " HU" : "";
    const parts = [`slice ${voxel[0]} (0 to ${this.count - 1})`, `row ${voxel[1]}, column ${voxel[2]}`, `${Math.round(value)}${unit}`];
    if (heat) parts.push(`suspicion ${score(heat)}`);
    const result = this.document.slices[voxel[0]];
    if (result?.score !== null && result) parts.push(`slice score ${score(result.score)}, p ${probability(result.p_value)}`);
    byId("readout").textContent = parts.join("   ");
    const scan = byId("scan-canvas");
    scan.setAttribute("aria-label", `Slice ${voxel[0]} of the scan`);
  }

  async toggleResidual(shown) {
    byId("residual").checked = shown;
    if (!shown) return this.closeResidual();
    byId("residual-stage").hidden = false;
    byId("stages").classList.add("two");
    try {
      if (!this.residual) {
        this.residual = new Pane(byId("residual-canvas"), byId("residual-marks"));
        await this.residual.attach();
        this.residual.onMeasured = (ends) => this.measured(ends);
      }
      if (!this.residual.volume) await this.loadResidual();
    } catch (error) {
      if (error.name !== "AbortError") this.say(problemWith(error));
      return undefined;
    }
    return this.join();
  }

  async loadResidual() {
    const say = (here) => this.say(`Loading the noise: ${Math.round(here * 100)} %`);
    const bytes = await download(this.volumes.residual, say, this.loading.signal);
    await this.residual.show("residual", bytes, {
      window: ({ robust_min: low, robust_max: high }) => {
        const most = NOISE_SHARE * Math.max(Math.abs(low), Math.abs(high));
        return { cal_min: -most, cal_max: most };
      },
    });
    this.residual.setRings(this.rings());
    this.residual.useMouse(this.measuring ? "measure" : "look");
    this.showLines();
    this.say("");
  }

  /** Let the two panes follow each other in place, slice and zoom. */
  join() {
    this.pane.nv.broadcastTo([this.residual.nv], { "2d": true });
    this.residual.nv.broadcastTo([this.pane.nv], { "2d": true });
    this.residual.onMove = () => this.pane.nv.createOnLocationChange();
    this.residual.setSmooth(byId("smooth").checked);
    this.residual.go(this.pane.here);
    requestAnimationFrame(() => this.resize());
  }

  closeResidual() {
    byId("residual").checked = false;
    byId("residual").disabled = !this.volumes?.residual;
    byId("residual-stage").hidden = true;
    byId("stages").classList.remove("two");
    this.pane?.nv.broadcastTo([]);
    this.residual?.clear();
    requestAnimationFrame(() => this.resize());
  }

  resize() {
    for (const pane of [this.pane, this.residual]) if (pane?.volume) pane.nv.resizeListener();
    this.pane?.volume && this.pane.go(this.pane.here);
  }

  setMeasuring(measuring) {
    byId("measure").setAttribute("aria-pressed", String(measuring));
    byId("stages").classList.toggle("measuring", measuring);
    for (const pane of [this.pane, this.residual]) pane?.useMouse(measuring ? "measure" : "look");
  }

  /** A line was drawn: from one place (slice, row, column) to another. */
  measured(ends) {
    const spacing = this.document.scan.spacing_mm;
    const length = Math.hypot(...ends[0].map((from, axis) => (ends[1][axis] - from) * spacing[axis]));
    const line = { ends, words: `${length.toFixed(1)} mm` };
    this.lines.push(line);
    byId("measured").textContent = `${line.words} in slice ${Math.round(ends[0][0])}`;
    byId("measure-clear").hidden = false;
    this.showLines();
  }

  showLines() {
    for (const pane of [this.pane, this.residual]) {
      if (!pane) continue;
      pane.lines = this.lines;
      pane.drawMarks();
    }
  }

  get measuring() {
    return byId("measure").getAttribute("aria-pressed") === "true";
  }

  clearMeasurements() {
    this.lines = [];
    this.showLines();
    byId("measured").textContent = "";
    byId("measure-clear").hidden = true;
  }

  say(words) {
    byId("loading").textContent = words;
    byId("loading").hidden = !words;
  }

  wire() {
    byId("window").addEventListener("change", (event) =>
      this.setWindow(this.presets.find((preset) => preset.key === event.target.value)),
    );
    for (const id of ["overlay", "opacity", "threshold"]) byId(id).addEventListener("input", () => this.setOverlay());
    byId("residual").addEventListener("change", (event) => this.toggleResidual(event.target.checked));
    byId("smooth").addEventListener("change", (event) => {
      for (const pane of [this.pane, this.residual]) if (pane?.volume) pane.setSmooth(event.target.checked);
    });
    byId("measure").addEventListener("click", () => this.setMeasuring(!this.measuring));
    byId("measure-clear").addEventListener("click", () => this.clearMeasurements());
    byId("fit").addEventListener("click", () => this.pane?.fit());
    for (const id of ["scan-canvas", "residual-canvas"]) {
      byId(id).addEventListener("wheel", (event) => this.wheel(event), { capture: true, passive: false });
      byId(id).addEventListener("contextmenu", (event) => event.preventDefault());
    }
    addEventListener("resize", () => this.resize());
  }

  /** The wheel turns slices; with Ctrl (or a pinch on a touchpad) it zooms. */
  wheel(event) {
    event.preventDefault();
    event.stopPropagation();
    if (!this.pane?.volume) return;
    if (event.ctrlKey) {
      this.pane.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      return;
    }
    this.turned = (this.turned ?? 0) + event.deltaY;
    const steps = Math.abs(event.deltaY) >= 50 ? Math.sign(event.deltaY) : Math.trunc(this.turned / 30);
    if (!steps) return;
    this.turned = 0;
    this.goSlice(this.slice + steps);
  }
}

/** Say why there are no images; the rest is for whoever looks into it. */
function problemWith(error) {
  console.error(error);
  if (/webgl/i.test(error.message)) {
    return "This browser can't draw the images: it has no WebGL 2. The report, the scores and the downloads are there.";
  }
  if (error instanceof ApiError) return error.message;
  return "The images can't be shown. The report, the scores and the downloads are there.";
}
