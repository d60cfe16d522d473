// What is drawn over an image, as SVG: the cross, rings round findings, measured lines, sides of the patient.

import { drawn } from "./dom.js";

const { SLICE_TYPE } = globalThis.niivue;
const SMALLEST_RING_MM = 8;
const GAP = 22; // pixels round the place that the cross leaves free

/** Draw the marks of a pane for the slice that it shows. */
export function drawMarks(pane, svg) {
  const [slice] = pane.here;
  const { clientWidth: width, clientHeight: height } = pane.canvas;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const rings = pane.rings.filter(({ sliceRange: [first, last] }) => first <= slice && slice <= last);
  const lines = pane.lines.filter(({ ends }) => Math.round(ends[0][0]) === slice);
  svg.replaceChildren(
    ...cross(pane, width, height),
    ...rings.flatMap((one) => ring(pane, one)),
    ...lines.flatMap((one) => line(pane, one)),
    ...sides(pane, width, height),
  );
}

function cross(pane, width, height) {
  const here = pane.screen(pane.here);
  if (!here) return [];
  const [x, y] = here.map((edge) => Math.round(edge) + 0.5);
  const across = `M0 ${y}H${x - GAP}M${x + GAP} ${y}H${width}`;
  const down = `M${x} 0V${y - GAP}M${x} ${y + GAP}V${height}`;
  return [drawn("path", { d: across + down, class: "cross" })];
}

function ring(pane, { number, centre, size, active }) {
  const [slice] = pane.here;
  const middle = pane.screen([slice, centre[1], centre[2]]);
  const beside = pane.screen([slice, centre[1], centre[2] + 10]);
  if (!middle || !beside) return [];
  const perMillimetre = Math.hypot(beside[0] - middle[0], beside[1] - middle[1]) / (10 * pane.columnMillimetres);
  const r = Math.max(SMALLEST_RING_MM, Math.max(size[1], size[2]) / 2) * perMillimetre;
  const [cx, cy] = middle;
  const look = active ? "ring active" : "ring";
  return [
    drawn("circle", { cx, cy, r, class: `${look} under` }),
    drawn("circle", { cx, cy, r, class: look }),
    drawn("text", { x: cx + r * 0.74 + 4, y: cy - r * 0.74 - 4, class: "mark" }, String(number)),
  ];
}

function line(pane, { ends, words }) {
  const [from, to] = ends.map((end) => pane.screen(end));
  if (!from || !to) return [];
  const d = `M${from[0]} ${from[1]}L${to[0]} ${to[1]}`;
  const right = to[0] > from[0] ? to : from;
  return [
    drawn("path", { d, class: "line under" }),
    drawn("path", { d, class: "line" }),
    drawn("text", { x: right[0] + 6, y: right[1] + 4, class: "mark" }, words),
  ];
}

/** Letters of DICOM at the edges: left, right, top, bottom. NiiVue shows each plane the same way round. */
function sides(pane, width, height) {
  const letters = {
    [SLICE_TYPE.AXIAL]: ["R", "L", "A", "P"],
    [SLICE_TYPE.CORONAL]: ["R", "L", "H", "F"],
    [SLICE_TYPE.SAGITTAL]: ["A", "P", "H", "F"],
  }[pane.plane] ?? []; // the first picture comes before the plane is known
  const places = [[12, height / 2], [width - 12, height / 2], [width / 2, 18], [width / 2, height - 10]];
  return letters.map((letter, index) => {
    const [x, y] = places[index];
    return drawn("text", { x, y, class: "letter", "text-anchor": "middle" }, letter);
  });
}
