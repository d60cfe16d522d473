"""An archive that speaks DICOMweb, in this process; and a line to it that can be cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pydicom

from tamperscan.files import make_folder, write_file

_JSON: Final = "application/dicom+json"
_BOUNDARY: Final = "part"
_PATH: Final = re.compile(r"/studies(?:/([\d.]+)/series(?:/([\d.]+)/instances(?:/([\d.]+))?)?)?")


class WebArchive:
    """Answers QIDO-RS, WADO-RS and STOW-RS with the DICOM files of a folder, and stores there what comes.

    Parameters
    ----------
    folder
        Made if missing.

    Attributes
    ----------
    url
        Root of its DICOMweb service.
    arrivals
        Digests of what was stored, by SOP instance UID, one for each time that it came.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._folder, self._lock = folder, threading.Lock()
        self.arrivals: dict[str, list[str]] = {}
        self._files = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in sorted(folder.glob("*.dcm"))}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_port)

    def __enter__(self) -> WebArchive:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Give content type and body of what is asked for; None where there is no such thing."""
        asked = _PATH.fullmatch(path)
        if asked is None:
            return None
        study, series, instance = asked.groups()
        if instance:
            file = self._files.get(instance)
            return None if file is None else (_IN_PARTS, _in_parts(file.read_bytes()))
        keyword = "SOPInstanceUID" if series else "SeriesInstanceUID" if study else "StudyInstanceUID"
        found = {str(getattr(head, keyword)): str(head.Modality) for head in self._heads(study, series)}
        tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
        told = [{tag: _value("UI", uid), "00080060": _value("CS", kind)} for uid, kind in found.items()]
        return _JSON, json.dumps(told).encode()

    def store(self, content: bytes) -> dict[str, Any]:
        """Store an instance; gives what the answer says of it."""
        dataset = pydicom.dcmread(BytesIO(content))
        uid = str(dataset.SOPInstanceUID)
        with self._lock:
            self.arrivals.setdefault(uid, []).append(hashlib.sha256(content).hexdigest())
            path = self._folder / f"{hashlib.sha256(uid.encode()).hexdigest()[:24]}.dcm"
            write_file(path, content)
            self._files[uid] = path
        return {"00081150": _value("UI", str(dataset.SOPClassUID)), "00081155": _value("UI", uid)}

    def _heads(self, study: str | None, series: str | None) -> list[Any]:
        heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in self._files.values()]
        return [
            head
            for head in heads
            if study in (None, head.StudyInstanceUID) and series in (None, head.SeriesInstanceUID)
        ]


_IN_PARTS: Final = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'


def _in_parts(content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _value(kind: str, value: str) -> dict[str, Any]:
    return {"vr": kind, "Value": [value]}


def _handler(archive: WebArchive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            answer = archive.answer(path)
            if answer is not None and answer[0] == _JSON and re.search(r"offset=[1-9]", query):
                answer = (_JSON, b"[]")  # everything was on the first page
            self._send(404 if answer is None else 200, *(answer or ("text/plain", b"")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):
                return  # the line was cut
            boundary = self.headers["Content-Type"].rpartition("boundary=")[2].encode()
            parts = [part.partition(b"\r\n\r\n")[2] for part in body.split(b"\r\n--" + boundary)[1:-1]]
            stored = [archive.store(part) for part in parts]
            self._send(200, _JSON, json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler


class Line:
    """A TCP line to a port of this machine that is cut after so many bytes, in both directions together.

    Parameters
    ----------
    to
        The port.

    Attributes
    ----------
    port, to
        Where it begins and ends.
    carried
        Bytes that it has carried so far.
    """

    def __init__(self, to: int) -> None:
        self.to, self._left, self._lock = to, -1, threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.carried = 0

    def cut_after(self, count: int) -> None:
        """Carry so many bytes more, then nothing; -1 for all."""
        with self._lock:
            self._left = count

    def __enter__(self) -> Line:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                try:
                    if self._left == 0:
                        raise ConnectionRefusedError
                    far = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    near.close()
                    continue
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(4096):
                if not self._may(len(piece)):
                    break
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _may(self, count: int) -> bool:
        with self._lock:
            self.carried += count
            if self._left >= 0:
                self._left = max(0, self._left - count)
            return self._left != 0
