"""Which contenders there are, and which of them can run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tamperscan.bench.contenders.contender import Contender
from tamperscan.diffusion.weights import open_weights
from tamperscan.errors import BenchError

MODALITIES = ("CT", "MR")


@dataclass(frozen=True)
class Unavailable:
    """A contender that can't run here.

    Attributes
    ----------
    name
        As in `NAMES`.
    reason
        What is missing and where it comes from, one sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class _Choice:
    """What decides how contenders are made."""

    modality: str
    official: Path | None
    backbone: Path | None


def contenders(
    modality: str, *, names: Sequence[str] | None = None, official: Path | None = None, backbone: Path | None = None
) -> list[Contender]:
    """Make the contenders that can run here, in the order of `NAMES`.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    names
        Which ones; None for all.
    official
        Folder of imported official weights (``tamperscan weights import``), for ``btd-official``.
    backbone
        File of a pretrained backbone (safetensors), for ``padim`` and ``patchcore``; nothing is ever downloaded.

    Returns
    -------
    list of Contender
        Without those that `unavailable` names for the same arguments.

    Raises
    ------
    BenchError
        If a name or the modality is unknown, or the backbone can't be used.
    WeightsError
        If the official weights are missing or altered.
    """
    choice = _Choice(_checked_modality(modality), official, backbone)
    return [_MAKE[name](choice) for name in _checked_names(names) if _reason(name, choice) is None]


def unavailable(
    modality: str, *, names: Sequence[str] | None = None, official: Path | None = None, backbone: Path | None = None
) -> list[Unavailable]:
    """List the contenders that can't run here and why; arguments and errors as for `contenders`."""
    choice = _Choice(_checked_modality(modality), official, backbone)
    reasons = ((name, _reason(name, choice)) for name in _checked_names(names))
    return [Unavailable(name, reason) for name, reason in reasons if reason is not None]


def _checked_modality(modality: str) -> str:
    if modality.upper() not in MODALITIES:
        raise BenchError(f"{modality}: contenders know {' and '.join(MODALITIES)} only. Choose one of them.")
    return modality.upper()


def _checked_names(names: Sequence[str] | None) -> list[str]:
    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise BenchError(f"{', '.join(unknown)}: no contender of this name. There are {', '.join(NAMES)}.")
    return [name for name in NAMES if names is None or name in names]


def _reason(name: str, choice: _Choice) -> str | None:
    """Say what a contender lacks, None if nothing."""
    lacking = [package for package in _PACKAGES.get(name, ()) if find_spec(package) is None]
    if lacking:
        extra = "anomalib" if "anomalib" in lacking else "bench"
        return f"It needs packages that are not installed ({', '.join(lacking)}): pip install 'tamperscan[{extra}]'."
    if name == "tamperscan" and choice.modality != "CT":
        return "The packaged weights for MR have seen the patients: 'tamperscan bench mr' leaves one out."
    if name == "btd-official":
        return _official_reason(choice)
    if name in ("padim", "patchcore") and choice.backbone is None:
        return "It needs a file with the weights of a pretrained backbone, and nothing is downloaded."
    return None


def _official_reason(choice: _Choice) -> str | None:
    if choice.official is None:
        return "It needs the official weights; 'tamperscan weights import' makes a folder of them."
    card = open_weights(choice.official).card
    if card.kind != "published":
        return f"The weights in {choice.official} are not of the published network."
    if card.modality != choice.modality:
        return f"The official weights in {choice.official} are for {card.modality}."
    return None


def _ours(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.ours import Ours

    return Ours()


def _btd(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.btd import Btd

    return Btd(choice.modality)


def _btd_official(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.btd import BtdOfficial

    assert choice.official is not None  # else it is unavailable
    return BtdOfficial(choice.official)


def _btd_small(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.btd import BtdSmall

    return BtdSmall(choice.modality)


def _anoddpm_gauss(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.anoddpm import AnoDdpm

    return AnoDdpm(choice.modality, noise="gauss")


def _anoddpm_simplex(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.anoddpm import AnoDdpm

    return AnoDdpm(choice.modality, noise="simplex")


def _patched_ddpm(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.patched_ddpm import PatchedDdpm

    return PatchedDdpm(choice.modality)


def _cae(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.cae import Cae

    return Cae(choice.modality)


def _f_anogan(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.f_anogan import FAnoGan

    return FAnoGan(choice.modality)


def _srm_gmm(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.srm_gmm import SrmGmm

    return SrmGmm()


def _noise_level(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.noise_level import NoiseLevel

    return NoiseLevel()


def _high_pass(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.high_pass import HighPass

    return HighPass()


def _padim(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.pretrained import Padim

    assert choice.backbone is not None  # else it is unavailable
    return Padim(choice.modality, choice.backbone)


def _patchcore(choice: _Choice) -> Contender:
    from tamperscan.bench.contenders.pretrained import PatchCore

    assert choice.backbone is not None  # else it is unavailable
    return PatchCore(choice.modality, choice.backbone)


# Imported when made: a missing package must cost its contender, not the run.
_MAKE: dict[str, Callable[[_Choice], Contender]] = {
    "tamperscan": _ours,
    "btd": _btd,
    "btd-official": _btd_official,
    "btd-small": _btd_small,
    "anoddpm-gauss": _anoddpm_gauss,
    "anoddpm-simplex": _anoddpm_simplex,
    "patched-ddpm": _patched_ddpm,
    "cae": _cae,
    "f-anogan": _f_anogan,
    "srm-gmm": _srm_gmm,
    "noise-level": _noise_level,
    "high-pass": _high_pass,
    "padim": _padim,
    "patchcore": _patchcore,
}

_PACKAGES = {
    "btd": ("torch", "safetensors"),
    "btd-small": ("torch", "safetensors"),
    "anoddpm-gauss": ("torch", "safetensors"),
    "anoddpm-simplex": ("torch", "safetensors", "opensimplex"),
    "patched-ddpm": ("torch", "safetensors", "opensimplex"),
    "cae": ("torch", "safetensors"),
    "f-anogan": ("torch", "safetensors"),
    "srm-gmm": ("sklearn", "safetensors"),
    "noise-level": ("pywt",),
    "padim": ("anomalib", "torch", "safetensors"),
    "patchcore": ("anomalib", "torch", "safetensors"),
}

NAMES = tuple(_MAKE)
"""Every contender, as in tables."""
