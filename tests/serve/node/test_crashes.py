import os
import signal
from pathlib import Path

import pytest

from tamperscan.bench.node_crashes import crash_run
from tamperscan.bench.node_process import NodeProcess


@pytest.mark.slow
def test_kills_lose_nothing_and_report_nothing_twice(tmp_path):
    result = crash_run(tmp_path, kills=5, instances=150, slices=50, longest_life=1.5, tell=lambda _: None)
    assert result.acknowledged == result.instances == 150
    assert (result.lost, result.unreported, result.reported_twice, result.altered, result.leftovers) == (0,) * 5
    assert result.audit_whole


def test_a_receiver_that_is_killed_is_started_again(tmp_path, series, send, wait_for):
    rules = {"node": {"receivers": 1}, "rules": [{"name": "none", "screen": False}]}
    with NodeProcess(tmp_path / "node", rules) as node:
        files = list(series.files.values())
        assert send(node.port, files[:1]) == [0]
        (receiver,) = [pid for pid in children(node.pid) if "tamperscan.serve.receiver" in command_line(pid)]
        os.kill(receiver, signal.SIGKILL)
        assert send(node.port, files[1:]) == [0, 0, 0]  # the socket is the node's: callers wait and are not refused
        wait_for(lambda: len(list(node.home.spool.glob("*.dcm"))) == 4)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
