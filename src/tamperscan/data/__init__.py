"""Files that come with the package: weights, and a sample to try them on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tamperscan.errors import ScanError, WeightsError

_WEIGHTS = "weights"
_SAMPLE = "sample/7478_73.dcm"


def weights_path(name: str) -> Path:
    """Find packaged weights.

    Parameters
    ----------
    name
        A detector that comes with the package, such as ``"ct"``.

    Returns
    -------
    pathlib.Path
        Folder with the network and its card. Its hashes are not checked here.

    Raises
    ------
    WeightsError
        If there are no weights of that name.
    """
    known = packaged_weights()
    if name in known:
        return _packaged(_WEIGHTS) / name
    if not known:
        raise WeightsError("This installation holds no weights. Reinstall the package.")
    raise WeightsError(
        f"There are no packaged weights '{name}'. Choose {' or '.join(known)}, or give a folder of your own."
    )


def packaged_weights() -> list[str]:
    """List the names of the weights that come with the package."""
    folder = _packaged(_WEIGHTS)
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / "card.json").is_file())


def processing_path() -> Path:
    """Find the limits beyond which a CT counts as processed, see `tamperscan.detect.processing_limits`."""
    return _packaged("processing-ct.json")


def sample_path() -> Path:
    """Find the packaged sample: one slice of a tampered chest CT, see ``ATTRIBUTION.md`` beside it.

    Raises
    ------
    ScanError
        If it is missing from the installation.
    """
    path = _packaged(_SAMPLE)
    if not path.is_file():
        raise ScanError(path, "the packaged sample is missing", "Reinstall the package")
    return path


def _packaged(name: str) -> Path:
    # Wheels are unpacked when they are installed, so that a packaged file is a file on disk.
    return Path(str(files(__name__).joinpath(name)))
