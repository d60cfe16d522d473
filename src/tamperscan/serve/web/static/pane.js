// One canvas with NiiVue in it, and marks drawn over it: rings round findings, sides of the patient.

import { drawMarks } from "./marks.js";

const { DRAG_MODE, NVImage, Niivue, SLICE_TYPE } = globalThis.niivue; // vendor/niivue.umd.js, loaded by the page

const OPTIONS = {
  backColor: [0, 0, 0, 1],
  crosshairWidth: 0, // drawn by us, a pixel wide at any zoom
  dragAndDropEnabled: false,
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  isNearestInterpolation: true,
  isOrientationTextVisible: false, // drawn by us, the same for all planes
  isRuler: false,
  isColorbar: false,
  loadingText: "",
  logLevel: "error",
  rulerWidth: 1.5,
  measureLineColor: [1, 0.9, 0.35, 1],
  measureTextColor: [1, 0.9, 0.35, 0], // the length is written by us
  rulerColor: [1, 0.9, 0.35, 1],
};

// From nothing through vermilion to pale yellow: that of the reports, rising in lightness.
const SUSPICION = { R: [140, 214, 255], G: [41, 94, 230], B: [0, 0, 89], A: [0, 190, 230], I: [0, 128, 255] };
const COLOURS_FROM_ZERO = 2; // NiiVue's colormapType: colours from 0 to cal_max, nothing below cal_min

function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** Make the layer of suspicion from the bytes of its file. */
async function suspicionOver({ bytes, opacity, from, most }) {
  const url = { url: bytes, name: "suspicion.nii.gz" };
  const layer = await NVImage.loadFromUrl({ ...url, colormap: "suspicion", opacity, cal_min: from, cal_max: most });
  layer.colormapType = COLOURS_FROM_ZERO;
  return layer;
}

export class Pane {
  constructor(canvas, marks) {
    this.canvas = canvas;
    this.marks = marks;
    this.rings = [];
    this.lines = [];
    this.stale = new Set(); // layers that are to be coloured anew
    this.colouring = false;
    this.nv = new Niivue(OPTIONS);
    this.onMove = () => {};
    this.onMeasured = () => {};
  }

  async attach() {
    await this.nv.attachToCanvas(this.canvas);
    this.nv.addColormap("suspicion", { ...SUSPICION, min: 0, max: 0 });
    this.nv.onLocationChange = (place) => this.onMove(place);
    this.nv.onMeasurementCompleted = ({ startMM, endMM }) => {
      const ends = [startMM, endMM].map((place) => this.between(this.nv.mm2frac(place)));
      this.nv.clearAllMeasurements();
      this.onMeasured(ends);
    };
    this.useMouse("look");
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = (...words) => {
      const done = draw(...words);
      this.drawMarks();
      return done;
    };
  }

  /** Show a volume, the bytes of a NIfTI file, with a map of suspicion over it where there is one. */
  async show(name, bytes, { window = () => ({}), heat = null } = {}) {
    const volume = await NVImage.loadFromUrl({ url: bytes, name: `${name}.nii.gz` });
    Object.assign(volume, window(volume));
    this.suspicion = heat && (await suspicionOver(heat));
    // All at once, as NiiVue colours every layer anew with each volume that is added.
    this.nv.volumes = this.suspicion ? [volume] : [];
    this.nv.addVolume(this.suspicion ?? volume);
    this.orient();
  }

  /** Take all volumes away. */
  clear() {
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume);
    this.suspicion = null;
    this.rings = [];
    this.marks.replaceChildren();
  }

  get volume() {
    return this.nv.volumes[0];
  }

  /** Take the geometry of the scan: which plane its slices lie in, and where each voxel is. */
  orient() {
    const alongSlices = this.volume.permRAS.findIndex((axis) => Math.abs(axis) === 3);
    this.plane = [SLICE_TYPE.SAGITTAL, SLICE_TYPE.CORONAL, SLICE_TYPE.AXIAL][alongSlices];
    this.nv.setSliceType(this.plane);
  }

  /** Move to a voxel (slice, row, column), counted as in the reports. */
  go([slice, row, column]) {
    this.nv.scene.crosshairPos = this.fraction([slice, row, column]);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  /** Where a voxel is, as NiiVue counts: 0 to 1 along right, anterior, superior. */
  fraction([slice, row, column]) {
    const stored = [column, row, slice];
    const dims = this.volume.dimsRAS;
    return Float32Array.from([0, 1, 2], (axis) => {
      const from = this.volume.permRAS[axis];
      const index = stored[Math.abs(from) - 1];
      const place = from > 0 ? index : dims[axis + 1] - 1 - index;
      return (place + 0.5) / dims[axis + 1];
    });
  }

  /** The place (slice, row, column), whole numbers at the middle of voxels, that NiiVue counts from 0 to 1. */
  between(fraction) {
    const stored = [0, 0, 0];
    const dims = this.volume.dimsRAS;
    for (const axis of [0, 1, 2]) {
      const from = this.volume.permRAS[axis];
      const place = fraction[axis] * dims[axis + 1] - 0.5;
      stored[Math.abs(from) - 1] = from > 0 ? place : dims[axis + 1] - 1 - place;
    }
    return [stored[2], stored[1], stored[0]];
  }

  /** The voxel (slice, row, column) under the cross. */
  get here() {
    const dims = this.volume.hdr.dims;
    const most = [dims[3], dims[2], dims[1]];
    const place = this.between(this.nv.scene.crosshairPos);
    return place.map((index, axis) => Math.min(most[axis] - 1, Math.max(0, Math.round(index))));
  }

  setWindow(low, high) {
    this.volume.cal_min = low;
    this.volume.cal_max = high;
    this.redraw(0);
  }

  /**
   * Colour one layer anew. A slider asks for this more often than it can be done, above all without a graphics card, so
   * that the next one waits until the last one is seen.
   */
  async redraw(layer) {
    this.stale.add(layer);
    if (this.colouring) return;
    this.colouring = true;
    while (this.stale.size) {
      await nextFrame();
      for (const one of this.stale) if (this.nv.volumes[one]) this.nv.refreshLayers(this.nv.volumes[one], one);
      this.stale.clear();
      this.nv.drawScene();
      await this.drawn();
    }
    this.colouring = false;
  }

  /** Wait until the graphics card, or what stands in for it, has drawn everything. */
  async drawn() {
    const { gl } = this.nv;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    do await nextFrame();
    while (fence && gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED);
    gl.deleteSync(fence);
  }

  setOverlay({ opacity, from }) {
    if (!this.suspicion) return;
    this.suspicion.cal_min = from;
    this.suspicion.opacity = opacity;
    this.redraw(1);
  }

  setSmooth(smooth) {
    this.nv.setInterpolation(!smooth);
  }

  /** "look": the left button moves the cross; "measure": it draws a line. The right one sets the window, always. */
  useMouse(way) {
    const left = way === "measure" ? DRAG_MODE.measurement : DRAG_MODE.crosshair;
    this.nv.setMouseEventConfig({
      leftButton: { primary: left, withShift: DRAG_MODE.pan, withCtrl: DRAG_MODE.pan },
      rightButton: DRAG_MODE.windowing,
      centerButton: DRAG_MODE.pan,
    });
  }

  zoom(factor) {
    const [x, y, z, before] = this.nv.scene.pan2Dxyzmm;
    const after = Math.min(16, Math.max(1, before * factor));
    // The place under the cross stays where it is.
    const place = this.nv.frac2mm(this.nv.scene.crosshairPos);
    const kept = [x, y, z].map((pan, axis) => (pan + place[axis]) * (before / after) - place[axis]);
    this.nv.setPan2Dxyzmm(after === 1 ? [0, 0, 0, 1] : [...kept, after]);
    this.nv.sync?.();
  }

  fit() {
    this.nv.setPan2Dxyzmm([0, 0, 0, 1]);
    this.nv.sync?.();
  }

  /** Rings to draw: `{ number, centre, sliceRange, size, active }` as findings have them. */
  setRings(rings) {
    this.rings = rings;
    this.drawMarks();
  }

  drawMarks() {
    if (this.volume && this.canvas.clientWidth) drawMarks(this, this.marks);
  }

  /** Distance between columns. */
  get columnMillimetres() {
    const header = this.volume.hdr.affine;
    return Math.hypot(header[0][0], header[1][0], header[2][0]);
  }

  /** Where a voxel is on the canvas, in CSS pixels; null where it is not in view. */
  screen(voxel) {
    const place = this.nv.frac2canvasPos(this.fraction(voxel));
    const ratio = this.nv.uiData.dpr || 1;
    return place ? [place[0] / ratio, place[1] / ratio] : null;
  }
}
