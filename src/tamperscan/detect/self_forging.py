"""Make the self-forged head: forged crops of authentic scans, its members' training, and its export.

Each patient is held out by one of the members, so that a calibration can score every patient by members that have not
learned from it (cross-conformal prediction, Vovk, Annals of Mathematics and Artificial Intelligence 74, 2015). Needs
the ``train`` extra (torch).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.crops import CachedScan, CropSource, build_cache, read_cache
from tamperscan.detect.learning_set import Vetting, crop_shares
from tamperscan.detect.pretexts import ALTERATIONS, Denoise, ForgedCrop, forge_crop
from tamperscan.detect.self_forged import FACTS_FILE, HEAD_FILE, HeadFacts
from tamperscan.diffusion.predictor import NoisePredictor, Predictor
from tamperscan.diffusion.weights import Weights, write_card
from tamperscan.errors import TrainingError
from tamperscan.files import copy_file, make_folder, write_file
from tamperscan.scan import PlannedScan, Scan
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow

if TYPE_CHECKING:
    from tamperscan.diffusion.head import HeadSettings
    from tamperscan.diffusion.train import Progress

CACHE_FOLDER = "cache"
PATIENTS_FILE = "patients.json"
# Of this share of the draws the densest of several places is taken: nodules, vessels and the pleura are rare otherwise.
_DENSE_SHARE = 0.35
_DENSE_CANDIDATES = 4
_CORE_PX = 5
_SHIFT_HU = 15
# A receiver's gain is arbitrary: MR is made brighter or darker by up to this factor, as for its noise predictor.
_MR_GAIN = 1.4


class ForgingSource:
    """Draws forged crops in model units.

    Parameters
    ----------
    crops
        Where authentic crops come from.
    predictor
        The noise predictor, for the alterations that re-synthesise.
    window
        Of the predictor; in MR `LUNG_NOISE_CT`, on which each scan's own range is laid: noise of 1 % of the range is
        then one of 15 HU, and all alterations have the strength that they have in CT.
    crop_px
        Side of a crop.
    modality
        ``"CT"`` for crops of the lung, ``"MR"`` for those of the body.
    """

    def __init__(
        self,
        crops: CropSource,
        predictor: Predictor,
        window: IntensityWindow,
        crop_px: int,
        modality: Literal["CT", "MR"] = "CT",
    ) -> None:
        self._crops, self._window, self._crop_px = crops, window, crop_px
        self._forge = self._forge_lung if modality == "CT" else self._forge_body
        self._predictor = predictor
        self._denoise = denoiser(predictor, window)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made of the rest."""
        return {name: value for name, value in vars(self).items() if name != "_denoise"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make it again."""
        vars(self).update(state)
        self._denoise = denoiser(self._predictor, self._window)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw crops and how far each pixel was altered, both ``[count, 1, row, column]``."""
        forged = [self._forge(rng) for _ in range(count)]
        images = np.stack([self._window.to_model(each.hu) for each in forged])
        return images[:, None], np.stack([each.mask for each in forged])[:, None]

    def _forge_lung(self, rng: np.random.Generator) -> ForgedCrop:
        return forge_crop(rng, self._draw_lung, self._denoise)

    def _forge_body(self, rng: np.random.Generator) -> ForgedCrop:
        steps = []

        def draw(rng: np.random.Generator) -> NDArray[np.float32]:
            crop, step = self._crops.draw_body(rng, self._crop_px)
            steps.append(step)
            return crop

        made = forge_crop(rng, draw, self._denoise, bright=True)
        # One step of the stored signal may be many HU, and what is altered is stored in the same steps.
        low = np.float32(self._window.low)
        return ForgedCrop(np.rint((made.hu - low) / np.float32(steps[0])) * np.float32(steps[0]) + low, made.mask)

    def _draw_lung(self, rng: np.random.Generator) -> NDArray[np.float32]:
        candidates = _DENSE_CANDIDATES if rng.random() < _DENSE_SHARE else 1
        drawn, _ = self._crops.draw_lung(rng, candidates, self._crop_px)
        middle = slice(self._crop_px // 2 - _CORE_PX, self._crop_px // 2 + _CORE_PX)
        densest = int(np.argmax(np.minimum(drawn[:, middle, middle], 100.0).mean(axis=(1, 2))))
        shifted: NDArray[np.float32] = drawn[densest] + np.float32(rng.integers(-_SHIFT_HU, _SHIFT_HU + 1))
        return shifted


class PredictorToSend:
    """A noise predictor that can be sent to another process: it is loaded where it is first used.

    Parameters
    ----------
    weights
        Of the predictor; it gets one thread, as there is a process for each core.

    Notes
    -----
    It runs in float32. In bfloat16 the first levels that a process asks for are folded into the network and later ones
    are not, so that a crop would depend on the crops drawn before it, and a resumed run would differ from an unbroken
    one.
    """

    def __init__(self, weights: Weights) -> None:
        self.stride = weights.card.stride
        self._weights = weights
        self._loaded: NoisePredictor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was loaded."""
        return {**vars(self), "_loaded": None}

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict the noise; see `NoisePredictor.predict`."""
        if self._loaded is None:
            self._loaded = NoisePredictor(self._weights, threads=1, precision="float32")
        return self._loaded.predict(image, levels)


def denoiser(predictor: Predictor, window: IntensityWindow) -> Denoise:
    """Return a function that takes noise of a level in HU off an image in HU; what the window clips stays as it is."""

    def denoise(hu: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
        image = window.to_model(hu)
        sigma = np.float32(level_hu / window.units_per_model_unit)
        clean = image - sigma * predictor.predict(image, np.array([sigma]))[0]
        return np.where(np.abs(image) < 1.0, window.from_model(clean), hu)

    return denoise


def cache_patients(
    patients: Callable[[], Iterable[tuple[str, Scan | PlannedScan]]],
    folder: Path,
    *,
    of: str,
    arrays: Path | None = None,
    on_scan: Callable[[str], None] = lambda name: None,
) -> list[tuple[str, CachedScan]]:
    """Cache the scans of patients for crops, or find the cache of an earlier run.

    Parameters
    ----------
    patients
        Gives (patient, scan); only called where there is no cache yet.
    folder
        Of the run.
    of
        What the scans are, in whatever words; a cache of others is refused.
    arrays
        Folder of the decoded scans, which runs may share; None for the run's own.
    on_scan
        Called with the name of each scan that is in the cache.
    """
    cached = read_cache(folder / CACHE_FOLDER, of=of)
    if cached is None or not (folder / PATIENTS_FILE).exists():
        names: list[str] = []
        notes = _Notes(patients(), names, on_scan)
        cached = build_cache(notes, folder / CACHE_FOLDER, notes.cached, of=of, arrays=arrays)
        write_file(folder / PATIENTS_FILE, json.dumps(names).encode())
    else:
        names = json.loads((folder / PATIENTS_FILE).read_text())
    return list(zip(names, cached, strict=True))


class _Notes:
    """Gives scans, and notes whose each is that comes into the cache; some can't be read."""

    def __init__(
        self,
        patients: Iterable[tuple[str, Scan | PlannedScan]],
        names: list[str],
        on_scan: Callable[[str], None],
    ) -> None:
        self._patients, self._names, self._on_scan = patients, names, on_scan
        self._patient = ""

    def __iter__(self) -> Iterator[Scan | PlannedScan]:
        for patient, scan in self._patients:
            self._patient = patient
            yield scan

    def cached(self, name: str) -> None:
        """Note the patient of the scan that was given last."""
        self._names.append(self._patient)
        self._on_scan(name)


def members_of(patients: Iterable[str], members: int) -> dict[str, int]:
    """Deal patients out: each is held out by the member with its number.

    Parameters
    ----------
    patients
        Names, repeated or not, in the order of the split.
    members
        Number of members.

    Raises
    ------
    TrainingError
        If there are fewer patients than members: each holds one out, and learns from the others.
    """
    names = list(dict.fromkeys(patients))
    if len(names) < members:
        raise TrainingError(
            f"{len(names)} patients are too few for {members} members that each hold some of them out. Give more scans."
        )
    return {name: number % members for number, name in enumerate(names)}


def train_member(
    weights: Weights,
    scans: list[tuple[str, CachedScan]],
    folder: Path,
    member: int,
    settings: HeadSettings,
    *,
    members: int,
    seed: int = 0,
    loaders: int | None = None,
    vetting: Vetting | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train one member on the patients that it does not hold out; a killed run goes on.

    Parameters
    ----------
    weights
        Of the trained noise predictor.
    scans
        From `cache_patients`.
    folder
        Of the run; the member's own lies below.
    member, members
        Which one, of how many.
    vetting
        Largest shares of a scanner and a patient, the usual ones if None; `vet` has left out what is not to be
        learned from.
    settings, seed, loaders, report
        As for `tamperscan.diffusion.head_training.train_head`.
    """
    from tamperscan.diffusion.export import read_local_unet
    from tamperscan.diffusion.head_training import train_head

    window = _window(weights)
    held_out = members_of([patient for patient, _ in scans], members)
    own = [cached for patient, cached in scans if held_out[patient] != member]
    modality, predictor = weights.card.modality, PredictorToSend(weights)
    scale = window if modality == "CT" else None
    shares = crop_shares([each for each in scans if held_out[each[0]] != member], vetting or Vetting())
    cut: dict[str, Any] = {"crop_px": settings.crop_px, "window": scale, "gain": _MR_GAIN, "shares": shares}
    crops = CropSource(folder / CACHE_FOLDER, own, **cut)
    source = ForgingSource(crops, predictor, window, settings.crop_px, modality)
    sigmas = tuple(level / window.units_per_model_unit for level in settings.levels_hu)
    train_head(
        settings,
        source,
        read_local_unet(weights.folder),
        sigmas,
        member_folder(folder, member),
        seed=seed + member,
        loaders=loaders,
        report=report,
    )


def assemble_head(
    weights: Weights,
    scans: list[tuple[str, CachedScan]],
    folder: Path,
    out: Path,
    settings: HeadSettings,
    *,
    members: int,
    vetting: Mapping[str, Any] | None = None,
) -> Weights:
    """Join trained members to a head, and add it to weights.

    Parameters
    ----------
    weights
        Of the noise predictor that the head was trained with.
    scans
        From `cache_patients`.
    folder
        Of the run, with all members trained.
    out
        Folder of weights; the predictor's own may be given.
    settings
        As in the training.
    members
        How many.
    vetting
        What was left out, for the card.

    Raises
    ------
    TrainingError
        If a member is missing or not trained to its end.
    """
    from tamperscan.diffusion.head import HeadEnsemble
    from tamperscan.diffusion.head_export import export_head
    from tamperscan.diffusion.head_training import read_head

    runs = [read_head(member_folder(folder, member), settings) for member in range(members)]
    held_out = members_of([patient for patient, _ in scans], members)
    facts = HeadFacts(
        levels_hu=settings.levels_hu,
        held_out=tuple(tuple(name for name, of in held_out.items() if of == member) for member in range(members)),
        training={
            "settings": settings.as_dict(),
            "alterations": list(ALTERATIONS),
            "runs": [{"steps": run.steps, "loss": round(run.loss, 5), "seconds": round(run.seconds)} for run in runs],
            "scans": [{"patient": name, "name": each.name, "slices": each.slices} for name, each in scans],
            "vetting": dict(vetting or {}),
        },
    )
    make_folder(out)
    for name in weights.card.files:
        copy_file(weights.folder / name, out / name)
    export_head(HeadEnsemble([run.head for run in runs]), len(settings.levels_hu), out / HEAD_FILE)
    write_file(out / FACTS_FILE, (json.dumps(facts.as_dict(), indent=1) + "\n").encode())
    files = dict.fromkeys([*weights.card.files, HEAD_FILE, FACTS_FILE], "")
    return write_card(out, weights.card.model_copy(update={"files": files}))


def member_folder(folder: Path, member: int) -> Path:
    """Return the folder of one member's run."""
    return folder / f"member-{member}"


def _window(weights: Weights) -> IntensityWindow:
    card = weights.card
    if card.kind == "low-noise" and card.window is not None:
        return IntensityWindow(*card.window)
    if card.kind == "low-noise" and card.levels_of_range:
        return LUNG_NOISE_CT
    raise TrainingError(f"{weights.folder}: a head needs a low-noise predictor with a window in HU, or one for MR.")
