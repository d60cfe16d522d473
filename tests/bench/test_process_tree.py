import os
import sys
import time

import pytest

from tamperscan.bench.process_tree import POSSIBLE, family, memory_mb, processor_seconds, watch

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="only Linux tells")

# A parent that holds 60 MB, and a child of its own that holds 90 MB more and works for a while.
FAMILY = """
import subprocess, sys
held = bytearray(60_000_000)
program = "import time; held = bytearray(90_000_000); end = time.process_time() + 0.5"
program += "\\nwhile time.process_time() < end: pass"
sys.exit(subprocess.run([sys.executable, "-c", program]).returncode)
"""


def test_memory_and_time_are_those_of_all_processes():
    ended = watch([sys.executable, "-c", FAMILY])
    assert ended.status == 0
    assert 150 < ended.peak_mb < 250
    assert ended.processor_seconds > 0.5
    assert ended.seconds > 0.5


def test_a_failure_is_told():
    ended = watch([sys.executable, "-c", "import sys; sys.exit('no such thing')"])
    assert (ended.status, ended.said.strip()) == (1, "no such thing")


def test_own_time_grows_by_what_is_done():
    begun = processor_seconds()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert processor_seconds() - begun == pytest.approx(0.2, abs=0.1)


def test_a_process_that_has_ended_holds_nothing():
    assert memory_mb(2**22 - 1) == 0.0
    assert family(os.getpid())[0] == os.getpid()
