"""What strangers sent is looked at in a reader's process, within limits."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from received_images import an_image, receive

from tamperscan.data import sample_path
from tamperscan.errors import ScanError
from tamperscan.scan.places import Place
from tamperscan.serve import looking
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.rules import Rules


def test_a_received_file_is_known_by_its_header(home):
    receive(home, an_image(), "a")
    header = looking.received(home.spool / "a.dcm")
    assert (header.modality, header.forged, header.signed) == ("CT", False, False)
    assert len(header.stored_sha256) == 64


def test_files_in_a_zip_are_found_and_looked_at(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(sample_path(), "scans/1.dcm")
        archive.writestr("b.zip", b"")
    problems = []
    (place,) = looking.files_under(path, problems.append)
    assert place == Place(f"{path}/scans/1.dcm", str(path), "scans/1.dcm")
    assert [error.problem for error in problems] == ["is a zip within a zip"]
    assert looking.copy_facts(place) == looking.copy_facts(Place(str(sample_path())))
    assert looking.copy_digest(place) == looking.copy_digest(Place(str(sample_path())))
    assert looking.signatures_in(place) == []


def test_what_is_too_much_is_an_error_that_names_the_limit(home, monkeypatch):
    image = an_image()
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(home.spool / "a.dcm", enforce_file_format=True)
    monkeypatch.setattr(looking, "LIMITS", replace(looking.LIMITS, inflated=100))
    with pytest.raises(ScanError, match="unpacks to more than 100 bytes"):
        looking.received(home.spool / "a.dcm")


def test_the_node_keeps_what_it_can_not_read(home, database):
    receive(home, an_image(), "a")
    (home.spool / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 500)
    Indexer(database, Rules(rules=[{"name": "all"}]), AuditLog(home.audit_log)).index()
    (row,) = database.rows("SELECT state, reason FROM instances")
    assert row["state"] == "unreadable"
    assert row["reason"].isprintable()


def test_no_module_comes_from_the_folder_one_is_in(tmp_path):
    for name in ("json", "numpy", "pydicom", "tamperscan"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(99)")
    program = (
        "import sys; sys.path.remove('') if '' in sys.path else None;"
        "from pathlib import Path; from tamperscan.serve.digester import Digester;"
        "from tamperscan.serve.web.probe import probe; import tamperscan; path = Path(sys.argv[1]);"
        "print(tamperscan.read_scan(path).shape[0], len(Digester().decoded(path).digest), probe(path).images)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, sample_path()],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("1 64 1\n", "")
