"""A DICOMweb service on this machine that holds a few series."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAGS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


def listed(level, uids, **more):
    tags = {TAGS[level]: {"vr": "UI", "Value": None}, "00080060": {"vr": "CS", "Value": ["CT"]}}
    return [{**tags, TAGS[level]: {"vr": "UI", "Value": [uid]}} for uid in uids]


@contextmanager
def serving(series):
    """Serve ``series``: {series UID: {SOP instance UID: bytes, or None where it can't be had}}, all of one study."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # head and body in one packet

        def do_GET(self):
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    def answer(path):
        path, _, query = path.partition("?")
        first = "offset=0" in query or "offset" not in query
        if found := re.search(r"/series/([\d.]+)/instances/([\d.]+)$", path):
            content = series[found[1]][found[2]]
            if content is None:
                return 404, "text/plain", b"gone"
            body = b"--mark\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--mark--"
            return 200, 'multipart/related; type="application/dicom"; boundary=mark', body
        if found := re.search(r"/series/([\d.]+)/instances$", path):
            answered = listed("instance", series[found[1]])
        else:
            answered = listed("series", series) if path.endswith("/series") else listed("study", ["1.9"])
        return 200, "application/dicom+json", json.dumps(answered if first else []).encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
