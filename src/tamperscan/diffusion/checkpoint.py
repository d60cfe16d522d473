"""Read a checkpoint of the official code (``CT_model.pt``, ``MRI_model.pt``, or one's own from its trainer).

Those files are torch pickles, and a pickle may run code when it is read. They are read with
``weights_only=True``, which builds tensors and plain containers and refuses all else.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tamperscan.diffusion.presets import TrainingPreset, preset
from tamperscan.diffusion.published import DIM, PublishedUNet, Variant, variant_of
from tamperscan.diffusion.schedule import NoiseSchedule, noise_schedule, schedule_of
from tamperscan.errors import WeightsError

Averaging = Literal["model", "ema"]
_PRESETS = {"ct": "paper-ct", "mr": "paper-mr"}
_AVERAGED = "ema_model."  # before the names of the averaged network, among those of the trained one
_DIFFUSION = "model."  # before the names of the network, among the buffers of the diffusion around it
_CODE_OPCODES = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE"}
_NAMED = 3  # missing or unexpected names in a message
_ADVICE = "Use CT_model.pt or MRI_model.pt of the official release, or a file written by its training scripts."


@dataclass(frozen=True, eq=False)
class OfficialCheckpoint:
    """A network of the official code, read and checked.

    Attributes
    ----------
    path
        The file it was read from.
    modality
        ``"ct"`` or ``"mr"``, as the caller said: the file doesn't tell.
    variant
        Which layout of the network it is.
    state_dict
        float32 parameters by name, without a prefix.
    schedule
        Noise schedule: recognised by the variances in the file, sigmoid of 1000 levels if it has none.
    step
        Optimiser steps of training, or None if the file doesn't tell.
    dim
        Channels of the first stage.
    """

    path: Path
    modality: Literal["ct", "mr"]
    variant: Variant
    state_dict: dict[str, Tensor]
    schedule: NoiseSchedule
    step: int | None
    dim: int = DIM

    @property
    def preset(self) -> TrainingPreset:
        """Settings that the published network of this modality was trained with: window, patch size."""
        return preset(_PRESETS[self.modality])

    def network(self) -> PublishedUNet:
        """Build the network with these weights, ready to predict."""
        network = PublishedUNet(self.dim, variant=self.variant)
        network.load_state_dict(self.state_dict)
        return network.requires_grad_(False).eval()


def read_official_checkpoint(
    path: str | Path, modality: Literal["ct", "mr"], *, weights: Averaging = "model", dim: int = DIM
) -> OfficialCheckpoint:
    """Read a checkpoint of the official code.

    Parameters
    ----------
    path
        A file as its trainer saves it (the diffusion under ``"model"``, its average under ``"ema"``), or a
        state dict of the diffusion or of the network alone.
    modality
        ``"ct"`` or ``"mr"``: what it was trained on.
    weights
        ``"model"`` for the weights as trained, which the official README loads; ``"ema"`` for their moving
        average, if the file has it.
    dim
        Channels of the network's first stage; 32 in the official release.

    Returns
    -------
    OfficialCheckpoint
        With every name and shape checked.

    Raises
    ------
    WeightsError
        If the file is missing, is not a checkpoint, contains code, or holds another network, one that was not
        trained to predict noise, an unknown noise schedule, or values that are not finite.
    ValueError
        If modality or weights is not one of the above.
    """
    if modality not in _PRESETS:
        raise ValueError(f"The modality is 'ct' or 'mr', not '{modality}'.")
    if weights not in ("model", "ema"):
        raise ValueError(f"The weights are 'model' or 'ema', not '{weights}'.")
    path = Path(path)
    content = _load(path)
    diffusion = _chosen(path, content, weights)
    state_dict = _network_part(diffusion)
    variant = _checked_variant(path, state_dict, dim)
    _require_noise_objective(path, diffusion)
    step = content.get("step")
    return OfficialCheckpoint(
        path=path,
        modality=modality,
        variant=variant,
        state_dict={name: value.float() for name, value in state_dict.items()},
        schedule=_schedule(path, diffusion),
        step=int(step) if isinstance(step, int | float) else None,
        dim=dim,
    )


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file. {_ADVICE}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: can't be read ({error}). Check the file and its permissions.") from error
    except Exception as error:  # whatever a damaged or hostile pickle makes the unpickler trip over
        if _is_refusal(error) or _names_code(path):
            raise WeightsError(f"{path}: refused: contains code, and weights are numbers only. {_ADVICE}") from error
        raise WeightsError(f"{path}: is no torch checkpoint, or is damaged. {_ADVICE}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__} and no weights by name. {_ADVICE}")
    return content


def _is_refusal(error: Exception) -> bool:
    """Tell whether torch refused a class or function: it has one exception for that and for damage."""
    text = str(error).lower()
    return any(sign in text for sign in ("unsupported global", "unsupported class", "trying to", "torchscript"))


def _names_code(path: Path) -> bool:
    """Tell whether a bare pickle, which torch doesn't read at all, names a class; run nothing."""
    content = path.read_bytes()
    if not content.startswith(pickle.PROTO):
        return False
    try:
        return any(opcode.name in _CODE_OPCODES for opcode, _, _ in pickletools.genops(content))
    except Exception:  # genops raises ValueError and more on bytes that only look like a pickle
        return False


def _chosen(path: Path, content: Mapping[str, Any], weights: Averaging) -> dict[str, Tensor]:
    """Tensors of the diffusion, or of the bare network, that the caller wants."""
    if weights == "ema":
        averaged = content.get("ema")
        if not isinstance(averaged, Mapping):
            raise WeightsError(f"{path}: has no moving average ('ema'). Read its weights as trained ('model').")
        return _tensors(_without_prefix(averaged, _AVERAGED))
    trained = content.get("model", content)
    return _tensors(trained if isinstance(trained, Mapping) else {})


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _without_prefix(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) :]: value for name, value in state.items() if str(name).startswith(prefix)}


def _network_part(diffusion: dict[str, Tensor]) -> dict[str, Tensor]:
    """Only the network: a diffusion has buffers beside it, a bare network has no prefix."""
    return _without_prefix(diffusion, _DIFFUSION) or diffusion


def _checked_variant(path: Path, state_dict: dict[str, Tensor], dim: int) -> Variant:
    try:
        variant = variant_of(state_dict)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    with torch.device("meta"):  # shapes only, no memory
        wanted = {name: value.shape for name, value in PublishedUNet(dim, variant=variant).state_dict().items()}
    _require_names(path, wanted.keys() - state_dict.keys(), "lacks")
    _require_names(path, state_dict.keys() - wanted.keys(), "has, beside the published network,")
    for name, shape in sorted(wanted.items()):
        if state_dict[name].shape != shape:
            raise WeightsError(
                f"{path}: {name} is of shape {list(state_dict[name].shape)} instead of {list(shape)}, "
                f"so this is a network of another size. {_ADVICE}"
            )
        if not torch.isfinite(state_dict[name]).all():
            raise WeightsError(f"{path}: {name} holds values that are no numbers. Take an earlier checkpoint.")
    return variant


def _require_names(path: Path, wrong: set[str], what: str) -> None:
    if not wrong:
        return
    named = ", ".join(sorted(wrong)[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    raise WeightsError(f"{path}: {what} {named}{more}. {_ADVICE}")


def _require_noise_objective(path: Path, diffusion: dict[str, Tensor]) -> None:
    """Refuse a network that predicts the image or the velocity: its output would be taken for noise.

    The library weights the loss of level t with 1 where noise is predicted, and otherwise with the
    signal-to-noise ratio or a share of it, which is near 0 at the last level.
    """
    loss_weight = diffusion.get("loss_weight")
    if loss_weight is not None and loss_weight.numel() and float(loss_weight.flatten()[-1]) < 0.5:
        raise WeightsError(
            f"{path}: its network was not trained to predict noise, which the detector needs. "
            "Train it with objective='pred_noise'."
        )


def _schedule(path: Path, diffusion: dict[str, Tensor]) -> NoiseSchedule:
    if "betas" not in diffusion:
        return noise_schedule("sigmoid")
    found = schedule_of(diffusion["betas"].double().numpy())
    if found is None:
        raise WeightsError(
            f"{path}: its noise schedule is none of the known ones (sigmoid, linear, cosine). "
            "Train with beta_schedule='sigmoid'."
        )
    return found
