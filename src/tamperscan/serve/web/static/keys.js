// Keys: one table that is both what they do and what the help says.

import { byId, element } from "./dom.js";

const CHOICE = "tamperscan.keys";

export function listenToKeys(viewer, panel) {
  const keys = table(viewer, panel);
  const on = byId("keys-on");
  on.checked = localStorage.getItem(CHOICE) !== "off";
  on.addEventListener("change", () => localStorage.setItem(CHOICE, on.checked ? "on" : "off"));
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("help-rows").replaceChildren(...help(keys));
  // Before NiiVue, which has keys of its own.
  addEventListener("keydown", (event) => press(event, keys, on.checked), { capture: true });
}

function press(event, keys, singleKeys) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const target = event.target;
  if (target.closest("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=range])")) return;
  const arrows = event.key.length > 1; // arrows, Page, Home, End, Escape
  if (arrows && target.closest("input, summary, dialog, a, .scroll") && event.key !== "Escape") return;
  if (arrows && target.closest(".panel")) return; // there they scroll
  if (!arrows && !singleKeys) return;
  const key = keys.find(({ on }) => on.includes(event.key));
  if (!key) {
    if (target.tagName === "CANVAS" && event.key !== "Tab") event.stopPropagation();
    return;
  }
  event.preventDefault();
  event.stopPropagation();
  key.act(event.key);
}

function table(viewer, panel) {
  const nudge = (id, by) => {
    const slider = byId(id);
    slider.value = String(Number(slider.value) + by * (Number(slider.max) - Number(slider.min)));
    viewer.setOverlay();
  };
  const flip = (id) => byId(id).disabled || byId(id).click();
  return [
    { on: ["ArrowDown", "ArrowRight", "j"], say: "Next slice", show: ["↓", "J"], act: () => viewer.goSlice(viewer.slice + 1) },
    { on: ["ArrowUp", "ArrowLeft", "k"], say: "Slice before", show: ["↑", "K"], act: () => viewer.goSlice(viewer.slice - 1) },
    { on: ["PageDown"], say: "Ten slices on", show: ["Page ↓"], act: () => viewer.goSlice(viewer.slice + 10) },
    { on: ["PageUp"], say: "Ten slices back", show: ["Page ↑"], act: () => viewer.goSlice(viewer.slice - 10) },
    { on: ["Home"], say: "First slice", show: ["Home"], act: () => viewer.goSlice(0) },
    { on: ["End"], say: "Last slice", show: ["End"], act: () => viewer.goSlice(Infinity) },
    { on: ["n"], say: "Next finding", show: ["N"], act: () => panel.goFinding(panel.active + 1) },
    { on: ["p"], say: "Finding before", show: ["P"], act: () => panel.goFinding(panel.active - 1) },
    { on: ["o"], say: "Suspicion on or off", show: ["O"], act: () => flip("overlay") },
    { on: ["[", "]"], say: "Less or more opacity", show: ["[", "]"], act: (key) => nudge("opacity", key === "]" ? 0.1 : -0.1) },
    { on: ["{", "}"], say: "Lower or higher threshold", show: ["{", "}"], act: (key) => nudge("threshold", key === "}" ? 0.05 : -0.05) },
    { on: [..."123456"], say: "Window presets in their order", show: ["1", "…", "6"], act: (key) => viewer.setWindow(viewer.presets?.[Number(key) - 1]) },
    { on: ["r"], say: "Noise residual on or off", show: ["R"], act: () => flip("residual") },
    { on: ["s"], say: "Smooth or plain pixels", show: ["S"], act: () => flip("smooth") },
    { on: ["m"], say: "Measure: drag a line", show: ["M"], act: () => viewer.setMeasuring(!viewer.measuring) },
    { on: ["Delete"], say: "Take measurements away", show: ["Delete"], act: () => viewer.clearMeasurements() },
    { on: ["+", "="], say: "Zoom in", show: ["+"], act: () => viewer.pane?.zoom(1.25) },
    { on: ["-"], say: "Zoom out", show: ["-"], act: () => viewer.pane?.zoom(0.8) },
    { on: ["f"], say: "Fit", show: ["F"], act: () => viewer.pane?.fit() },
    { on: ["Escape"], say: "Stop measuring", show: ["Esc"], act: () => viewer.setMeasuring(false) },
    { on: ["?"], say: "This help", show: ["?"], act: () => byId("help").showModal() },
  ];
}

const MOUSE = [
  ["Left button", "Move the cross; draw a line when measuring"],
  ["Right button", "Window: across the width, up and down the centre"],
  ["Middle, or Shift and left", "Move the image"],
  ["Wheel", "Slices; with Ctrl zoom"],
];

function help(keys) {
  const rows = keys.map(({ show, say }) => element("tr", {}, element("th", { scope: "row" }, ...show.map((key) => element("kbd", {}, key))), element("td", {}, say)));
  const mouse = MOUSE.map(([what, does]) => element("tr", {}, element("th", { scope: "row" }, what), element("td", {}, does)));
  return [...rows, ...mouse];
}
