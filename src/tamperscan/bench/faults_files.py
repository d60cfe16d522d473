"""Whether files are whole, and whether two folders hold the same results."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tamperscan.abandoned import TEMPORARY

VOLATILE: Final = frozenset(
    {
        "seconds",
        "time",
        "date",
        "created",
        "made",
        "loss",
        "peak_bytes",
        "sha256",
        "crops_per_second",
        "runs",
        "files",
        "fetched",
    }
)
"""Keys of JSON whose values differ between two runs that are both right: times, and hashes of files with times."""


def damaged_files(folder: Path) -> list[str]:
    """Name the files under their own names that can't be read to their end, and why; temporary ones don't count.

    Parameters
    ----------
    folder
        Searched with all folders below it.
    """
    problems = []
    for path in results_in(folder):
        try:
            read_whole(path)
        except Exception as error:  # whatever a reader makes of half a file
            problems.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return problems


def results_in(folder: Path) -> list[Path]:
    """List the files that are results: neither hidden, nor temporary, nor in a folder that is."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and not _is_temporary(inside):
            found.append(path)
    return found


def _is_temporary(path: Path) -> bool:
    return any(part.endswith((TEMPORARY, ".part")) for part in path.parts)


def leftovers_in(folder: Path) -> int:
    """Count temporary files that a kill left behind."""
    return sum(path.is_file() and _is_temporary(path.relative_to(folder)) for path in folder.rglob("*"))


def digests_of(folder: Path) -> dict[str, str]:
    """Digest every result by its name in the folder; what may differ between two right runs is left out."""
    return {str(path.relative_to(folder)): digest_of(path) for path in results_in(folder)}


def digest_of(path: Path) -> str:
    """Digest what a file says, without times; "damaged" where it can't be read to its end."""
    try:
        return hashlib.sha256(repr(read_whole(path)).encode()).hexdigest()[:16]
    except Exception:  # whatever a reader makes of half a file
        return "damaged"


def read_whole(path: Path) -> Any:
    """Read a file to its end by its kind; gives what must be the same in every right run.

    Raises
    ------
    Exception
        Whatever the reader of its kind makes of a damaged file.
    """
    return _READERS.get(path.suffix, _bytes)(path)


def _bytes(path: Path) -> Any:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(path: Path) -> Any:
    return _steady(json.loads(path.read_bytes()))


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _steady(entry) for key, entry in value.items() if key not in VOLATILE}
    return [_steady(entry) for entry in value] if isinstance(value, list) else value


def _lines(path: Path) -> Any:
    """Journals are added to line by line; their last line may be torn, and whoever reads them leaves it out."""
    return "lines" if path.read_bytes() else ""


def _page(path: Path) -> Any:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("the page has no end")
    return "page"


def _picture(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return "loss curve" if path.name == "loss.png" else hashlib.sha256(image.tobytes()).hexdigest()


def _arrays(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as stored:
        return {name: _array(stored[name]) for name in sorted(stored.files) if name != "facts"}


def _array(values: np.ndarray[Any, Any]) -> str:
    return f"{values.dtype}{values.shape}{hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


def _dicom(path: Path) -> Any:
    import pydicom

    dataset = pydicom.dcmread(path)
    pixels = dataset.get("PixelData") or dataset.get("FloatPixelData") or b""
    if "Rows" in dataset and not pixels:
        raise ValueError("an image without pixels")
    return dataset.SOPInstanceUID, hashlib.sha256(pixels).hexdigest()


def _tensors(path: Path) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as stored:
        return {name: _array(stored.get_tensor(name)) for name in sorted(stored.keys())}


def _network(path: Path) -> Any:
    import onnx

    onnx.checker.check_model(onnx.load_from_string(path.read_bytes()))
    return _bytes(path)


def _nifti(path: Path) -> Any:
    import gzip

    content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    return hashlib.sha256(io.BytesIO(content).getvalue()).hexdigest()


def _table(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path).read().num_rows


_READERS: Final[Mapping[str, Callable[[Path], Any]]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".csv": _lines,
    ".html": _page,
    ".png": _picture,
    ".npz": _arrays,
    ".parquet": _table,
    ".npy": lambda path: _array(np.load(path, allow_pickle=False)),
    ".dcm": _dicom,
    ".safetensors": _tensors,
    ".onnx": _network,
    ".gz": _nifti,
    ".nii": _nifti,
}
