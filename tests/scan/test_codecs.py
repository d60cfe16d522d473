from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import codecs, decode_worker, limits, read_scan
from tamperscan.scan.limits import Limits
from tamperscan.scan.planning import plan_here

from .dicom_maker import dataset, hounsfield, save


def read_here(path):
    """Read in this process, whose decoders a test can get at."""

    def tell(error):
        raise error

    with plan_here(path, tell) as plan:
        return plan.build(0, "scan")


@pytest.fixture
def compressed(tmp_path):
    """A JPEG-LS file of known HU."""
    made = dataset((hounsfield(1)[0] + 1000).astype(np.uint16), RescaleIntercept=-1000)
    made.compress("1.2.840.10008.1.2.4.80")
    return save(made, tmp_path / "a.dcm")


@pytest.fixture
def broken_worker(monkeypatch, tmp_path):
    """Put another program in the place of the decoder."""

    def put(program):
        codecs._workers.stop()
        (tmp_path / "worker.py").write_text(program)
        monkeypatch.setattr(decode_worker, "__file__", str(tmp_path / "worker.py"))

    yield put
    codecs._workers.stop()


def test_decoder_that_dies_is_started_again(compressed):
    read_here(compressed)
    for worker in codecs._workers._all:
        if worker._process is not None:
            worker._process.kill()
            worker._process.wait()
    assert np.array_equal(read_here(compressed).voxels, hounsfield(1))


@pytest.mark.parametrize("program", ["import os; os._exit(6)", "input()", "print('{')"])
def test_decoder_that_dies_at_work_is_an_error(compressed, broken_worker, program):
    broken_worker(program)
    with pytest.raises(ScanError, match="made the decoder fail"):
        read_here(compressed)


def test_many_threads_share_the_decoders(compressed):
    with ThreadPoolExecutor(8) as pool:
        digests = {scan.sha256 for scan in pool.map(read_here, [compressed] * 24)}
    assert len(digests) == 1


def test_decoder_that_hangs_is_stopped(compressed, broken_worker, monkeypatch):
    monkeypatch.setattr(limits, "_here", [Limits(seconds_a_frame=0.3)])
    broken_worker("import time; time.sleep(60)")
    with pytest.raises(ScanError, match="made the decoder fail"):
        read_here(compressed)


def test_worker_answers_with_pixels_or_a_reason():
    facts = dict.fromkeys(decode_worker.FACTS, 16)
    head, pixels = decode_worker.answer({"syntax": "1.2.840.10008.1.2.4.70", "facts": facts}, b"nothing")
    assert head["error"]
    assert (head["size"], pixels) == (0, b"")
    assert json.dumps(head)


def test_damaged_frames_never_end_the_process(compressed):
    whole = compressed.read_bytes()
    for place in range(len(whole) - 900, len(whole), 60):
        damaged = whole[:place] + bytes(20) + whole[place + 20 :]
        compressed.write_bytes(damaged)
        try:
            assert read_scan(compressed).shape == (1, 20, 24)
        except ScanError:
            continue
