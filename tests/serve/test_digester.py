from pathlib import Path

import pytest

from tamperscan.data import sample_path
from tamperscan.serve import digester
from tamperscan.serve.digester import Digester
from tamperscan.serve.pixel_digest import decoded_digest


@pytest.fixture(scope="module")
def asked():
    return Digester()


def test_the_digest_is_that_of_this_process(asked):
    assert asked.decoded(sample_path()) == (decoded_digest(sample_path()), "")


def test_why_there_is_none_is_told(asked, tmp_path):
    (tmp_path / "damaged.dcm").write_bytes(sample_path().read_bytes()[:-1000])
    digest, problem = asked.decoded(tmp_path / "damaged.dcm")
    assert digest is None
    assert problem
    assert asked.decoded(sample_path()).digest


def test_its_memory_is_limited(asked):
    asked.decoded(sample_path())
    limits = Path(f"/proc/{asked._process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max data size")]
    assert line.split()[3] == str(int(digester.MEMORY_GIB * 2**30))


def test_it_is_started_again_after_its_end(asked):
    asked.decoded(sample_path())
    asked._process.kill()
    asked._process.wait()
    assert asked.decoded(sample_path()).digest == decoded_digest(sample_path())
