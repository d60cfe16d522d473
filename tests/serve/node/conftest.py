"""A node and an archive that are started for the tests of a module, and what is sent to them."""

from __future__ import annotations

import shutil
import subprocess
import time

import numpy as np
import pytest

pytest.importorskip("pynetdicom")

from pydicom import dcmread

from tamperscan.bench.node_instances import make_image, write_series
from tamperscan.bench.node_process import Archive, NodeProcess
from tamperscan.serve.database import Database

PATIENCE = 60.0


def rules_for(archive, **node):
    destination = {"kind": "dicom", "host": "127.0.0.1", "port": archive.port, "ae_title": archive.ae_title}
    return {
        "node": node,
        "quiet": {"seconds": 1.0, "of": "series"},
        "destinations": {"archive": destination},
        "rules": [{"name": "ct", "when": {"modality": "CT"}, "send_to": "archive"}],
    }


@pytest.fixture(scope="module")
def archive():
    with Archive() as running:
        yield running


@pytest.fixture(scope="module")
def node(archive, tmp_path_factory):
    with NodeProcess(tmp_path_factory.mktemp("node"), rules_for(archive, receivers=1)) as running:
        yield running


@pytest.fixture(scope="module")
def database(node):
    opened = Database(node.home)
    yield opened
    opened.close()


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", slices=4, side=32, seed=abs(hash(str(tmp_path))) % 2**31)


@pytest.fixture
def image():
    """A data set of its own, and its bytes as they go over the wire."""
    from pydicom.uid import generate_uid
    from pynetdicom.dsutils import encode

    uid = generate_uid()
    made = make_image(generate_uid(), generate_uid(), uid, index=0, side=32, generator=np.random.default_rng())
    made.encoded = encode(made, False, True)
    return made


@pytest.fixture(scope="session")
def wait_for():
    def wait(condition, patience=PATIENCE):
        until = time.monotonic() + patience
        while not (found := condition()):
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)
        return found

    return wait


@pytest.fixture(scope="session")
def dcmtk():
    def run(program, *words):
        if shutil.which(program) is None:
            pytest.skip(f"DCMTK's {program} is not installed")
        return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="session")
def send():
    """Send files by C-STORE; gives their status values."""
    from pynetdicom import AE

    def send(port, files, calling="SCANNER", called="TAMPERSCAN", **more):
        entity = AE(ae_title=calling)
        headers = [dcmread(path, stop_before_pixels=True) for path in files]
        for header in headers:
            entity.add_requested_context(header.SOPClassUID, header.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", port, ae_title=called, **more)
        assert association.is_established
        statuses = [association.send_c_store(path).Status for path in files]
        association.release()
        return statuses

    return send
