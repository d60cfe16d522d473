"""The whole command on folders of files that fuzzing has made: ``python -m fuzz.command SECONDS``.

Each file counts as one input. A defect is another exit code than 0, 2 and 3, a traceback, a line on the terminal that
can't be printed, or a folder that takes more than ten minutes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.counters import FOLDER, Counting
from fuzz.defects import keep
from fuzz.oracle import Defect

KINDS = {"dicom": ".dcm", "frames": ".dcm", "nifti": ".nii", "numpy": ".npy", "zip": ".zip", "any-file": ""}
FILES = 60
PATIENCE = 600


def main(seconds: int) -> None:
    """Screen folder after folder for a time."""
    counting = Counting("command")
    chosen = random.Random(counting.counter.inputs)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "files")
            files = _fill(folder, chosen)
            began = time.monotonic()
            try:
                _screen(folder, Path(place, "out"))
            except Exception as error:
                names = "\n".join(str(path) for path in files)
                keep("command", counting.counter, names.encode(), error)
            taken = (time.monotonic() - began) / len(files)
            for _ in files:
                counting.add(taken)
    counting.write()


def _fill(folder: Path, chosen: random.Random) -> list[Path]:
    """Copy files out of the corpora that fuzzing has built, each under a name of its kind."""
    folder.mkdir()
    files = []
    for number in range(FILES):
        kind = chosen.choice(list(KINDS))
        source = chosen.choice(sorted((FOLDER / "corpus" / kind).iterdir()))
        files.append(source)
        (folder / f"{number:03}{KINDS[kind]}").write_bytes(source.read_bytes())
    return files


def _screen(folder: Path, out: Path) -> None:
    command = [sys.executable, "-m", "tamperscan", "screen", str(folder), "--out", str(out), "--no-pictures"]
    done = subprocess.run(
        command, capture_output=True, timeout=PATIENCE, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    told = done.stdout + done.stderr
    if done.returncode not in (0, 2, 3) or b"Traceback" in told or b"fault in tamperscan" in told:
        raise Defect(f"status {done.returncode}: {told[-2000:]!r}")
    if b"not foreseen" in told:
        raise Defect(f"unforeseen: {told[told.index(b'not foreseen') - 300 :][:600]!r}")
    lines = told.decode("utf-8", "replace").replace("\n", "")
    if not lines.isprintable():
        raise Defect(f"a line that can't be printed: {[letter for letter in lines if not letter.isprintable()][:5]}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
