"""From pixel data to stored values. Compressed frames are decoded in a process of their own."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, RLELossless

from tamperscan.scan import decode_worker
from tamperscan.scan.limits import limits

DECODERS: Final = min(4, os.cpu_count() or 1)
"""Frames decoded at once, each in a process of its own."""


class DecodingError(Exception):
    """A frame that no decoder takes."""


class _Worker:
    """A process that decodes. It is started when first needed, and again if a damaged frame ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def decode(self, syntax: str, facts: dict[str, int], frame: bytes) -> NDArray[Any]:
        """Decode one frame as `decode_worker.decode` does; raises DecodingError if the decoder fails."""
        head = {"syntax": syntax, "facts": facts, "size": len(frame)}
        process = self._running()
        watch = threading.Timer(limits().seconds_a_frame, process.kill)
        watch.start()
        try:
            return _ask(process, json.dumps(head).encode() + b"\n" + frame)
        except (OSError, ValueError):
            self.stop()
            raise DecodingError("it made the decoder fail: it is damaged") from None
        finally:
            watch.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        """Give the process, started anew after its end or after a fork of this one."""
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            command = [sys.executable, "-P", str(Path(decode_worker.__file__))]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            self._owner = os.getpid()
        return self._process

    def stop(self) -> None:
        """End the process, if it is ours."""
        if self._process is None or self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _close(pipe)
        self._process = None


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:  # what was not yet written to a process that is gone
        return


def _ask(process: subprocess.Popen[bytes], request: bytes) -> NDArray[Any]:
    """Send one request, wait for the pixels; raises OSError or ValueError if the process has ended."""
    if process.stdin is None or process.stdout is None:
        raise OSError("the decoder has no pipes")
    process.stdin.write(request)
    process.stdin.flush()
    head = json.loads(process.stdout.readline())
    pixels = process.stdout.read(head["size"])
    if "error" in head:
        raise DecodingError(head["error"])
    return np.frombuffer(pixels, head["kind"]).reshape(head["shape"])


class _Workers:
    """The processes that decode, each lent to one thread at a time."""

    def __init__(self, count: int) -> None:
        self._all = [_Worker() for _ in range(count)]
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._all:
            self._free.put(worker)

    def decode(self, syntax: str, facts: dict[str, int], frame: bytes) -> NDArray[Any]:
        """Decode one frame by the worker that is free; as `_Worker.decode`."""
        worker = self._free.get()
        try:
            return worker.decode(syntax, facts, frame)
        finally:
            self._free.put(worker)

    def stop(self) -> None:
        """End all processes."""
        for worker in self._all:
            worker.stop()


_workers: Final = _Workers(DECODERS)
atexit.register(_workers.stop)


def stored_values(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Decode frames to stored values.

    Parameters
    ----------
    dataset
        A grey-scale image with its pixel data and transfer syntax.
    indices
        Which frames, from 0.

    Yields
    ------
    ndarray
        Integers (or floats, for float pixel data) ``[row, column]``.

    Raises
    ------
    Exception
        Of any kind: whatever the decoders make of damaged data.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_encapsulated and syntax != RLELossless:
        facts = {keyword: int(dataset.get(keyword) or 0) for keyword in decode_worker.FACTS}
        return (_workers.decode(str(syntax), facts, encoded_frame(dataset, index)) for index in indices)
    return iter_pixels(dataset, raw=True, indices=indices, correct_unused_bits=False)


def encoded_frame(dataset: Dataset, index: int) -> bytes:
    """Cut one frame, from 0, out of compressed pixel data."""
    offsets, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    extended = (offsets, lengths) if offsets and lengths else None
    count = int(dataset.get("NumberOfFrames") or 1)
    return get_frame(dataset.PixelData, index, number_of_frames=count, extended_offsets=extended)


def is_irreversible(dataset: Dataset) -> bool:
    """Whether JPEG 2000 pixel data was made with the irreversible wavelet (ISO/IEC 15444-1 A.6.1)."""
    try:
        stream = encoded_frame(dataset, 0)
    except Exception:  # damage is told when the frame is decoded
        return False
    style = stream.find(b"\xff\x52", 0, 1024)
    return 0 <= style < len(stream) - 13 and stream[style + 13] == 0
