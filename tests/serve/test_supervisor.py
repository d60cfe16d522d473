"""Real workers, that are killed, or may take little memory."""

import os
import signal
import struct
import time

import pytest

from tamperscan.data import packaged_weights, sample_path
from tamperscan.serve.queue import Queue
from tamperscan.serve.supervisor import Supervisor

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture
def queue(home):
    opened = Queue(home)
    yield opened
    opened.database.close()


def wait_until(condition, patience=60):
    until = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_a_worker_that_is_killed_is_started_again_and_the_job_done(home, queue):
    job = queue.add("a", origin="page", model="ct", source=str(sample_path()))
    with Supervisor(home, poll_seconds=0.05):
        wait_until(lambda: queue.job(job.id).state == "running")
        (row,) = queue.database.rows("SELECT worker FROM jobs")
        os.kill(int(row["worker"]), signal.SIGKILL)
        wait_until(lambda: queue.job(job.id).state == "queued")
        assert "worker died" in queue.job(job.id).error
        with queue.database.transaction() as connection:
            connection.execute("UPDATE jobs SET not_before = 0")
        wait_until(lambda: queue.job(job.id).state == "done")
    assert queue.job(job.id).attempts == 2
    assert (home.result_folder(job.id) / "screening.json").is_file()
    assert not list(home.results.glob(".*"))


def test_a_scan_that_needs_too_much_memory_fails_alone(home, queue, tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1500, 1024, 1024), }".ljust(117) + b"\n"
    with (tmp_path / "huge.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        file.truncate(file.tell() + 4 * 1500 * 2**20)  # a sparse file: it takes no room
    huge = queue.add("huge", origin="page", model="ct", source=str(tmp_path / "huge.npy"))
    small = queue.add("small", origin="page", model="ct", source=str(sample_path()))
    with Supervisor(home, memory_gib=2.0, poll_seconds=0.05):
        wait_until(lambda: queue.job(small.id).state == "done")
        wait_until(lambda: queue.job(huge.id).error)
    assert "memory" in queue.job(huge.id).error


def test_only_one_of_two_supervisors_starts_workers(home):
    first = Supervisor(home, poll_seconds=0.05).start()
    wait_until(lambda: first.in_charge)
    with Supervisor(home, poll_seconds=0.05) as second:
        time.sleep(0.3)
        assert not second.in_charge
        first.stop()
        wait_until(lambda: second.in_charge)
