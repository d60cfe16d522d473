"""Reading headers in a process of its own."""

import os
import zipfile

import pytest
from archive_maker import make_series

from tamperscan.archive import headers_apart
from tamperscan.archive.headers import read_headers
from tamperscan.archive.headers_apart import read_headers_apart
from tamperscan.archive.places import Place
from tamperscan.errors import ScanError


def listed(folder):
    return Place("folder", str(folder)), tuple(sorted(os.listdir(folder)))  # noqa: PTH208


def test_it_gives_what_reading_here_gives(tmp_path):
    make_series(tmp_path, "1.2.3", 3)
    (tmp_path / "junk.dcm").write_bytes(b"junk")
    (tmp_path / "read.txt").write_text("hello")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as packed:
        packed.write(tmp_path / "IM0000.dcm", "IM0000.dcm")
    (tmp_path / os.fsdecode(b"\xff.dcm")).write_bytes((tmp_path / "IM0001.dcm").read_bytes())
    assert read_headers_apart(*listed(tmp_path)) == read_headers(*listed(tmp_path))


@pytest.mark.parametrize("blamed", [True, False])
def test_a_file_that_ends_the_reader_costs_itself_alone(tmp_path, monkeypatch, blamed):
    real = headers_apart.isolated.call
    place, names = listed(make_series(tmp_path, "1.2.3", 3))

    def call(module, function, where, files, **more):
        if names[1] in files:
            path = f"{tmp_path}/{names[1]}" if blamed else str(tmp_path)
            raise ScanError(path, "ended the process that read it (signal 11)", "Leave it out")
        return real(module, function, where, files, **more)

    monkeypatch.setattr(headers_apart.isolated, "call", call)
    headers = read_headers_apart(place, names)
    assert "signal 11" in headers.unreadable[0].problem
    assert len(headers.entries) + len(headers.unreadable) == (3 if blamed else 4)
    assert len(headers.entries) == (2 if blamed else 0)
