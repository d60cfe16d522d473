"""A real Orthanc for tests: its own folder and ports, on this machine alone, ended by its process id.

It has no test of its own; ``find_orthanc`` says why it can't be had, and tests skip with that.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSLossless, RLELossless

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STARTUP_SECONDS = 60
AE_TITLE = "ORTHANC"
PROPOSALS = {JPEG2000Lossless: ["-xv"], JPEG2000: ["-xw"], JPEGLSLossless: ["-xt"], RLELossless: ["-xr"]}
"""Options of storescu by transfer syntax; it converts nothing that is compressed."""


def missing_parts() -> str:
    """Why there can be no Orthanc here; empty if there can."""
    if not (shutil.which("Orthanc") or Path("/usr/sbin/Orthanc").exists()):
        return "no orthanc (apt package orthanc)"
    if not PLUGIN.exists():
        return "no DICOMweb plugin (apt package orthanc-dicomweb)"
    if not shutil.which("storescu"):
        return "no storescu (apt package dcmtk)"
    return ""


@dataclass
class Orthanc:
    """A running Orthanc, and what one asks of it over its own REST interface, not over ours."""

    folder: Path
    http_port: int
    dicom_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        with self.client as client:
            answer = client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        with self.client as client:
            answer = client.post(path, content=body if isinstance(body, str | bytes) else json.dumps(body))
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def send(self, *files: Path) -> None:
        """Send files with DCMTK's storescu, as a scanner would."""
        storescu("127.0.0.1", self.dicom_port, AE_TITLE, *files)

    def find(self, level: str, **query: str) -> list[dict[str, Any]]:
        """Main tags of what matches, found by Orthanc itself."""
        found = self.post("/tools/find", {"Level": level, "Query": query, "Expand": True})
        return list(found)

    def qido(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Ask by QIDO-RS, without our client."""
        with self.client as client:
            answer = client.get(f"/dicom-web{path}", params=query, headers={"Accept": "application/dicom+json"})
        answer.raise_for_status()
        return list(answer.json())

    def wait_for(self, level: str, count: int, seconds: float = 60, **query: str) -> list[dict[str, Any]]:
        """Wait until at least so many resources match."""
        end = time.monotonic() + seconds
        while len(found := self.find(level, **query)) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} {query} after {seconds} s"
            time.sleep(0.2)
        return found

    def log(self) -> str:
        return (self.folder / "orthanc.log").read_text(errors="replace")


def storescu(host: str, port: int, title: str, *files: Path) -> None:
    """Send files by C-STORE, in the transfer syntax that they are in."""
    by_syntax: dict[str, list[str]] = {}
    for file in files:
        syntax = str(pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID)
        by_syntax.setdefault(syntax, []).append(str(file))
    for syntax, names in by_syntax.items():
        command = ["storescu", "-aec", title, *PROPOSALS.get(syntax, ()), host, str(port), *names]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert outcome.returncode == 0, outcome.stderr[-2000:]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextlib.contextmanager
def running_orthanc(
    folder: Path, *, modalities: Mapping[str, tuple[str, int]] | None = None, **settings: Any
) -> Iterator[Orthanc]:
    """Start Orthanc in a folder, and end it.

    ``modalities`` are other nodes by Orthanc's name for them: AE title and port on this machine. ``settings`` go into
    its configuration as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(3):  # a port that was free may be taken by another program before Orthanc takes it
        started = _start(folder, modalities or {}, settings)
        if started is not None:
            break
    else:
        raise AssertionError((folder / "orthanc.log").read_text(errors="replace")[-3000:])
    try:
        yield started
    finally:
        started.process.kill()  # it takes seconds to end in good order, and what it holds is thrown away
        started.process.wait()


def _start(folder: Path, modalities: Mapping[str, tuple[str, int]], settings: dict[str, Any]) -> Orthanc | None:
    http_port, dicom_port = free_port(), free_port()
    configuration = {
        "Name": "tamperscan-test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        "DicomModalities": {name: [title, "127.0.0.1", port] for name, (title, port) in modalities.items()},
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": False,
        "StableAge": 1,
        "HttpThreadsCount": 8,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **settings,
    }
    (folder / "storage").mkdir(exist_ok=True)
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(path)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
    orthanc = Orthanc(folder, http_port, dicom_port, process)
    end = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError), orthanc.client as client:
            if client.get("/system").status_code in (200, 401):
                return orthanc
        time.sleep(0.1)
    process.kill()
    process.wait()
    return None
