// Window presets: what is black and what is white.

const CT = [
  { key: "lung", name: "Lung", low: -1350, high: 150 },
  { key: "mediastinum", name: "Mediastinum", low: -160, high: 240 },
  { key: "bone", name: "Bone", low: -500, high: 1500 },
  { key: "brain", name: "Brain", low: 0, high: 80 },
  { key: "noise", name: "Air and noise", low: -1050, high: -750 },
];

/** Presets for a modality; `low` and `high` of "auto" are those of the volume. */
export function presets(modality, volume) {
  const auto = { key: "auto", name: "Auto", low: volume.robust_min, high: volume.robust_max };
  const whole = { key: "whole", name: "Whole range", low: volume.global_min, high: volume.global_max };
  return modality === "CT" ? [...CT, auto] : [auto, whole];
}

/** "C -600 W 1500", as radiologists say it. */
export function inWords(low, high) {
  const digits = high - low < 10 ? 2 : 0;
  return `C ${((low + high) / 2).toFixed(digits)} W ${(high - low).toFixed(digits)}`;
}
