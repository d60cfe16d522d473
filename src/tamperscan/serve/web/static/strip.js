// The slice strip: a bar a slice, as high as its score. It is a slider, so keys and screen readers can use it.

import { drawn } from "./dom.js";
import { probability, score } from "./words.js";

const HEIGHT = 64;
const WIDEST = 48; // of a bar, where there are few slices
const APART = 13; // numbers of findings
const FOOT = 14; // where the findings' numbers stand

export class Strip {
  constructor(root, onGo) {
    this.root = root;
    this.onGo = onGo;
    this.slices = [];
    this.findings = [];
    this.now = 0;
    root.addEventListener("pointerdown", (event) => this.begin(event));
    root.addEventListener("pointermove", (event) => event.buttons & 1 && this.goTo(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** `slices` and `findings` as screening.json has them; `line` is the score that makes the scan suspicious. */
  show(slices, findings, line) {
    this.slices = slices;
    this.findings = findings;
    this.line = line;
    this.root.setAttribute("aria-valuemin", "0");
    this.root.setAttribute("aria-valuemax", String(slices.length - 1));
    this.draw();
  }

  set(index) {
    if (index === this.now && this.marker) return;
    this.now = index;
    this.tell();
    this.moveMarker();
  }

  begin(event) {
    if (event.button !== 0) return;
    this.root.setPointerCapture(event.pointerId);
    this.goTo(event);
  }

  goTo(event) {
    const box = this.root.getBoundingClientRect();
    const index = Math.floor((event.clientX - box.left) / this.step);
    this.onGo(Math.min(this.slices.length - 1, Math.max(0, index)));
  }

  tell() {
    const slice = this.slices[this.now];
    this.root.setAttribute("aria-valuenow", String(this.now));
    const here = this.findings
      .map((finding, index) => [finding, index + 1])
      .filter(([finding]) => finding.slice_range[0] <= this.now && this.now <= finding.slice_range[1])
      .map(([, number]) => `finding ${number}`);
    const measured = slice?.score === null ? "not measured" : `score ${score(slice?.score)}, p ${probability(slice?.p_value)}`;
    this.root.setAttribute("aria-valuetext", [`Slice ${this.now}`, measured, ...here].join(", "));
  }

  draw() {
    const width = this.root.clientWidth;
    if (!width || !this.slices.length) return;
    const step = Math.min(WIDEST, width / this.slices.length);
    const most = Math.max(this.line ?? 0, ...this.slices.map((slice) => slice.score ?? 0), 1) * 1.06;
    const room = HEIGHT - FOOT;
    const height = (value) => Math.max(1, (Math.max(0, value) / most) * (room - 2));
    const bars = { plain: "", high: "", none: "" };
    this.slices.forEach(({ score: value }, index) => {
      const wide = Math.max(0.6, step > 3 ? step - 1 : step);
      const left = index * step + (step - wide) / 2;
      const kind = value === null ? "none" : this.line && value >= this.line ? "high" : "plain";
      const tall = value === null ? 1 : height(value);
      bars[kind] += `M${left.toFixed(2)} ${room}v${(-tall).toFixed(2)}h${wide.toFixed(2)}v${tall.toFixed(2)}Z`;
    });
    const svg = drawn("svg", { width, height: HEIGHT, "aria-hidden": "true" });
    for (const [kind, path] of Object.entries(bars)) svg.append(drawn("path", { d: path, class: `bars ${kind}` }));
    if (this.line && this.line < most) {
      const y = room - height(this.line);
      svg.append(drawn("line", { x1: 0, x2: width, y1: y, y2: y, class: "line" }));
    }
    this.marker = drawn("g", { class: "marker" }, drawn("rect", { y: 0, height: room, class: "here" }), drawn("path", {}));
    this.step = step;
    svg.append(this.marker, ...this.ticks());
    this.root.replaceChildren(svg);
    this.moveMarker();
    this.tell();
  }

  /** The findings' numbers; a dot where a more suspicious one has taken the room. */
  ticks() {
    const taken = [];
    return this.findings.map((finding, index) => {
      const x = Math.min(this.root.clientWidth - 8, Math.max(8, (finding.centre[0] + 0.5) * this.step));
      if (taken.some((other) => Math.abs(other - x) < APART)) {
        return drawn("circle", { cx: x, cy: HEIGHT - 12, r: 1.6, class: "tick" });
      }
      taken.push(x);
      return drawn("text", { x, y: HEIGHT - 2, class: "tick", "text-anchor": "middle" }, String(index + 1));
    });
  }

  moveMarker() {
    if (!this.marker) return;
    const wide = Math.max(this.step, 2);
    const left = (this.now + 0.5) * this.step - wide / 2;
    this.marker.firstChild.setAttribute("x", left.toFixed(2));
    this.marker.firstChild.setAttribute("width", wide.toFixed(2));
    const middle = left + wide / 2;
    this.marker.lastChild.setAttribute("d", `M${middle - 4} 0h8l-4 5Z`);
  }
}
