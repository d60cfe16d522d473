"""From a path to the volumes below it: by their headers first, decoded one by one when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tamperscan.errors import ScanError
from tamperscan.scan import nifti, numpy_file, watch
from tamperscan.scan.assemble import build_scan, frame_digest
from tamperscan.scan.collect import collect
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.limits import is_shortage, too_large
from tamperscan.scan.places import Found, Place, Plan, Report, place_of
from tamperscan.scan.series import Volume, plan_volumes
from tamperscan.scan.sources import FileSource, Source
from tamperscan.scan.volume import Scan


class PlanHere:
    """The volumes under a path, read in this process.

    Parameters
    ----------
    path
        A file, a folder, a zip or a DICOMDIR.
    opened
        Keeps zip archives open.
    report
        Is told of everything that can't be read.

    Raises
    ------
    ScanError
        If ``path`` itself can't be read.
    """

    def __init__(self, path: Path, opened: ExitStack, report: Report) -> None:
        self._report = report
        self._planned = _plan(path, opened, report)
        watch.idle()

    @property
    def found(self) -> Sequence[Found]:
        """The volumes."""
        return [found for found, _ in self._planned]

    def build(self, number: int, name: str) -> Scan | None:
        """Decode a volume; None where that fails, after telling why."""
        found, build = self._planned[number]
        label = found.places[0].label
        try:
            return build(name)
        except ScanError as error:
            self._report(error)
        except Exception as error:  # one odd file must not end a run over many
            if is_shortage(error):
                self._report(too_large(label))
                return None
            problem = f"can't be read, for a reason that was not foreseen ({type(error).__name__}: {error})"
            self._report(ScanError(label, problem, "Please report this, with the file if you may"))
        finally:
            watch.idle()
        return None


@contextmanager
def plan_here(path: Path, report: Report) -> Iterator[Plan]:
    """Plan in this process; zip archives stay open meanwhile."""
    with ExitStack() as opened:
        yield PlanHere(path, opened, report)


_Planned = tuple[Found, Callable[[str], Scan]]


def _plan(path: Path, opened: ExitStack, report: Report) -> list[_Planned]:
    """Find the volumes under ``path`` by the headers alone, and choose what to name them after."""
    frames: list[Frame] = []
    others: list[tuple[Source, Callable[[str], Scan]]] = []
    watch.reading(str(path), watch.HEADERS)
    for source in collect(path, opened, report):
        try:
            if (reader := _volume_reader(source)) is not None:
                others.append((source, reader))
            else:
                frames += read_frames(source)
        except ScanError as error:
            report(error)
    watch.reading(str(path), watch.HEADERS)
    volumes = plan_volumes(frames, frame_digest, report)
    alone = len(volumes) + len(others) == 1
    hints = [FileSource(path.resolve()).stem] if alone else _hints(volumes)
    dicom: list[_Planned] = [
        (Found(hint, _places(volume)), lambda name, volume=volume: build_scan(volume, name, report))  # type: ignore[misc]
        for hint, volume in zip(hints, volumes, strict=False)
    ]
    return [*dicom, *((Found(source.stem, (place_of(source),)), reader) for source, reader in others)]


def _places(volume: Volume) -> tuple[Place, ...]:
    """List the files of a volume, each once, in the order of its slices."""
    return tuple({frame.source.label: place_of(frame.source) for frame in volume.frames}.values())


def _volume_reader(source: Source) -> Callable[[str], Scan] | None:
    """How to read a file that is a volume by itself; None for DICOM."""
    if nifti.is_nifti(source):
        return lambda name: nifti.read_nifti(source, name)
    if numpy_file.is_numpy(source):
        return lambda name: numpy_file.read_numpy(source, name)
    return None


def _hints(volumes: list[Volume]) -> list[str]:
    """Choose what to name volumes after: their folder if it is theirs alone, else the file or the series."""
    folders = Counter(volume.frames[0].source.folder for volume in volumes)
    return [_hint(volume, folders[volume.frames[0].source.folder]) for volume in volumes]


def _hint(volume: Volume, neighbours: int) -> str:
    first = volume.frames[0]
    folder = Path(first.source.folder).name
    if neighbours == 1 and folder:
        return folder
    if len(volume.frames) == 1 and first.count == 1:
        return first.source.stem
    return f"{folder}_{first.description}" if folder else first.description
