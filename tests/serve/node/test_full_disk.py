"""A disk of eight megabytes, and what happens at its end."""

import subprocess

import pytest

from tamperscan.bench.node_instances import write_series
from tamperscan.bench.node_process import NodeProcess
from tamperscan.serve.audit_check import verify
from tamperscan.serve.database import Database
from tamperscan.serve.store import OUT_OF_RESOURCES

RULES = {"node": {"receivers": 1, "keep_free_gib": 0}, "quiet": {"seconds": 60}, "rules": [{"name": "all"}]}


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_refuses_and_nothing_acknowledged_is_lost(small_disk, tmp_path, send, wait_for):
    first = write_series(tmp_path / "first", slices=20, side=512, seed=1)
    with NodeProcess(small_disk, RULES) as node:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(3 * 2**20))
        statuses = send(node.port, list(first.files.values()))
        assert statuses[0] == 0
        assert statuses[-1] == OUT_OF_RESOURCES
        assert set(statuses) == {0, OUT_OF_RESOURCES}
        taken = [uid for uid, status in zip(first.files, statuses, strict=True) if status == 0]
        ballast.unlink()  # somebody makes room
        (last,) = send(node.port, [list(first.files.values())[-1]])
        assert last == 0
        database = Database(node.home)
        wait_for(lambda: not database.rows("SELECT 1 FROM instances WHERE state = 'received'"))
        kept = {row["sop_uid"]: row["file"] for row in database.rows("SELECT * FROM instances WHERE kept = 1")}
        assert set(kept) == {*taken, list(first.files)[-1]}
        assert {path.name for path in node.home.spool.iterdir()} == set(kept.values())
        database.close()
    assert verify(node.home.audit_log).intact
