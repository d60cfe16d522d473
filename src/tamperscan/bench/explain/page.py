"""The sections of the page that says why the detector works: figures in words, tables and pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tamperscan.bench.document import Provenance
from tamperscan.bench.explain.levels import Standing, Sweep
from tamperscan.bench.explain.pairs import ForgedResult
from tamperscan.bench.explain.run import Explanation
from tamperscan.bench.explain.spectra import SpectrumRatio
from tamperscan.bench.explain.subjects import NODULE
from tamperscan.bench.labels import KINDS
from tamperscan.bench.metrics import ROUNDS, Estimate
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table

_KIND_WORDS: Final[Mapping[str, str]] = {"FB": KINDS["FB"], "FM": KINDS["FM"], NODULE: "real nodule"}
_NOTHING: Final = "Not measured: there was nothing to measure it on."
# Bands of the table of spectra, in cycles/mm; the figure has them all.
_FORGED_BANDS: Final = (0.225, 0.525)
_SHOWN_BANDS: Final = (0.125, 0.225, 0.325, 0.425, 0.525, 0.625)

ALTERNATIVES: Final[Mapping[str, str]] = {
    "maps": "A removal and an injection: slice, predicted noise, attribution",
    "profile": "Predicted noise and attribution by distance from the place",
    "spectra": "Power spectra at tampered places over those of the rest of their slices",
    "swaps": "Energy of the predicted noise after exchanging the fine structure of healthy places, by noise level",
    "levels": "AUC within the slice and two-sidedness by noise level",
    "forged": "Energy and AUC of forged places by noise level",
}
"""What each figure shows, for those who can't see it."""


def sections(
    explanation: Explanation, origin: Provenance, figures: Mapping[str, Path], page: Path | None
) -> dict[str, str]:
    """Tell the results.

    Parameters
    ----------
    explanation
        The results.
    origin
        The command that made them.
    figures
        Name of each figure and its file.
    page
        Where the text will stand, which the figures' links start from; None to link them from where the command runs.

    Returns
    -------
    dict of str to str
        Markdown by name of the section.
    """
    links = {name: _link(name, path, page) for name, path in figures.items()}
    return {
        "explain-material": _material(explanation, origin),
        "explain-attribution": _joined(links.get("maps"), links.get("profile"), _attribution(explanation)),
        "explain-spectra": _joined(links.get("spectra"), _spectra(explanation)),
        "explain-swaps": _joined(links.get("swaps"), _swaps(explanation)),
        "explain-levels": _joined(links.get("levels"), _levels(explanation)),
        "explain-forged": _joined(links.get("forged"), _forged(explanation)),
    }


def _joined(*parts: str | None) -> str:
    return "\n\n".join(part for part in parts if part)


def _link(name: str, path: Path, page: Path | None) -> str:
    start = page.parent if page else Path()
    target = Path(os.path.relpath(path, start)).as_posix()
    return f"![{ALTERNATIVES[name]}]({target})"


def _material(explanation: Explanation, origin: Provenance) -> str:
    material = explanation.material
    tampered = ", ".join(
        f"{material.tampered.get(kind, 0)} of {material.labelled.get(kind, 0)} slices of {material.scans.get(kind, 0)}"
        f" scans ({words})"
        for kind, words in KINDS.items()
    )
    warning = (
        f"These authentic scans took part in training or calibration: {', '.join(material.not_held_out)}."
        if material.not_held_out
        else ""
    )
    return paragraph(
        origin.markdown(),
        f"Detector: {explanation.detector}, weights SHA-256 `{explanation.weights_sha256[:16]}`, asked at",
        f"{_listed(explanation.levels_hu)} HU.",
        f"Tampered with by CT-GAN, with lung enough to measure: {tampered}.",
        f"Authentic, of patients that nothing was trained or calibrated on: {material.healthy} healthy places of",
        f"{material.healthy_patients} patients, {material.nodules} real nodules and tumours of"
        f" {material.nodule_patients}.",
        f"In brackets: 95 % bootstrap intervals over scans or patients ({ROUNDS} resamples).",
        f"Nothing was tuned to these figures. The whole run took {explanation.seconds / 60:.0f} minutes.",
        warning,
    )


def _attribution(explanation: Explanation) -> str:
    result = explanation.attribution
    if result is None:
        return _NOTHING
    rows = [
        [
            f"{_KIND_WORDS.get(row.kind, row.kind)}, {row.tissue}, {row.zone}",
            f"{row.places} ({row.scans})",
            estimate(row.density),
            estimate(row.healthy_density),
            estimate(row.attribution),
            estimate(row.energy),
            estimate(row.extra),
        ]
        for row in result.zones
    ]
    head = [
        "zone",
        "places (scans)",
        "attribution per mm², tampered",
        "the same, healthy",
        "ratio of attributions",
        "ratio of predicted noise",
        "extra score",
    ]
    words = paragraph(
        f"{result.windows} windows. The sums of the attributions are off the differences of the scores by"
        f" {per_cent(result.median_gap)} of these (median; at most {per_cent(result.largest_gap)}).",
        f"The baseline keeps {per_cent(result.baseline_share)} of the score (median).",
        f"Half of the attribution of a small square's score lies within {number(result.reach_half_mm, 1)} mm of it,",
        f"nine tenths within {number(result.reach_most_mm, 1)} mm (medians).",
    )
    return _joined(table(head, rows), words)


def _spectra(explanation: Explanation) -> str:
    if not explanation.spectra:
        return _NOTHING
    head = ["tampered / rest of the slice", "places (scans)", *(f"{band:g} /mm" for band in _SHOWN_BANDS), "total"]
    rows = [_spectrum_row(f"{_KIND_WORDS.get(one.kind, one.kind)}, {one.what}", one) for one in explanation.spectra]
    return table(head, rows)


def _spectrum_row(name: str, one: SpectrumRatio) -> list[str]:
    by_band = dict(zip(one.frequencies, one.times, strict=True))
    shown = [estimate(by_band[band]) if band in by_band else "–" for band in _SHOWN_BANDS]
    return [name, f"{one.places} ({one.scans})", *shown, estimate(one.total)]


def _swaps(explanation: Explanation) -> str:
    if not explanation.swaps:
        return _NOTHING
    chosen = _some(explanation.asked_hu)
    head = ["residual exchanged for", "its power", *(f"{explanation.asked_hu[index]:g} HU" for index in chosen)]
    rows = [
        [one.name, estimate(one.power), *(estimate(one.times[index]) for index in chosen)] for one in explanation.swaps
    ]
    removed = next((one for one in explanation.sweeps if (one.kind, one.tissue) == ("FB", "parenchyma")), None)
    if removed is not None:
        rows.append(["(CT-GAN's removals)", "", *(estimate(removed.levels[index].times) for index in chosen)])
    first = explanation.swaps[0]
    count = f"{first.places} places of {first.patients} patients; energy of the predicted noise after over before."
    return _joined(table(head, rows), paragraph(count))


def _levels(explanation: Explanation) -> str:
    if not explanation.sweeps:
        return _NOTHING
    parts = []
    for one in explanation.sweeps:
        if one.levels[0].places:
            title = f"**{_KIND_WORDS.get(one.kind, one.kind)}, {one.tissue}**"
            parts += [f"{title}: {one.levels[0].places} places of {one.levels[0].scans} scans", _sweep_table(one)]
    return _joined(*parts) or _NOTHING


def _sweep_table(one: Sweep) -> str:
    head = ["asked at", "AUC within the slice", "z", "energy / rest", "in the highest tenth", "in the lowest tenth"]
    published = f"{one.published.level_hu:.1f} HU, published window"
    named = [*((level.asked, level) for level in one.levels), (published, one.published), ("high-pass", one.high_pass)]
    return table(head, [_standing_row(name, standing) for name, standing in named])


def _standing_row(name: str, one: Standing) -> list[str]:
    values: list[Estimate] = [one.auc, one.z, one.times, one.above, one.below]
    return [name, *(estimate(value) for value in values)]


def _forged(explanation: Explanation) -> str:
    removals = [one for one in explanation.forged if one.action == "remove"]
    injections = [one for one in explanation.forged if one.action == "inject" and one.standing is not None]
    reasons = [f"- {name}: {reason}" for name, reason in _told(explanation.skipped).items()]
    return _joined(
        _removals(removals) if removals else None,
        _injections(injections) if injections else None,
        None if explanation.forged else _NOTHING,
        _joined("Left out:", "\n".join(reasons)) if reasons else None,
    )


def _removals(forged: Sequence[ForgedResult]) -> str:
    rows = []
    for one in forged:
        bands = dict(zip(one.spectrum.frequencies, one.spectrum.times, strict=True)) if one.spectrum else {}
        fine = [estimate(bands[band]) if band in bands else "–" for band in _FORGED_BANDS]
        rows.append([one.method, f"{one.places} ({one.patients})", *fine, *map(estimate, one.times)])
    head = ["healthy lung overwritten by", "places (patients)", *(f"power at {band:g} /mm" for band in _FORGED_BANDS)]
    return table([*head, *(f"energy at {level:g} HU" for level in forged[0].levels_hu)], rows)


def _injections(forged: Sequence[ForgedResult]) -> str:
    rows = []
    for one in forged:
        assert one.standing is not None  # those that have none are not told
        shown = [*one.standing.levels, one.standing.high_pass]
        count = f"{one.standing.levels[0].places} ({one.standing.levels[0].scans})"
        rows.append([one.method, count, *(estimate(level.auc) for level in shown)])
    head = ["lesion put in by", "places (patients)", *(f"AUC at {level:g} HU" for level in forged[0].levels_hu)]
    return table([*head, "AUC of the high-pass"], rows)


def _told(skipped: Mapping[str, str]) -> dict[str, str]:
    """Shorten a list of many places: methods by name, places by their number."""
    methods = {name: reason for name, reason in skipped.items() if " of " not in name}
    places = Counter(name.split(" of ")[0] for name in skipped if " of " in name)
    return methods | {name: f"{count} of the places did not fit it" for name, count in places.items()}


def _some(levels_hu: tuple[float, ...]) -> list[int]:
    """Choose about six of the levels for a table."""
    return list(range(0, len(levels_hu), 2))


def _listed(levels_hu: tuple[float, ...]) -> str:
    return " and ".join(f"{level:g}" for level in levels_hu)
