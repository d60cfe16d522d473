"""The end of a node whose receiver is away: nothing waits for it."""

import subprocess
import sys

import numpy as np
import pytest

from tamperscan.bench.node_instances import make_image
from tamperscan.bench.node_process import NodeProcess, free_port
from tamperscan.serve.database import Database
from tamperscan.serve.queue import Queue


@pytest.fixture
def away(tmp_path):
    """A node with two results for a receiver that does not listen, and one for a receiver that the rules lost."""
    receiver = {"kind": "dicom", "host": "127.0.0.1", "port": free_port(), "ae_title": "ARCHIVE"}
    rules = {"destinations": {"archive": receiver}, "rules": [{"name": "ct", "send_to": "archive"}]}
    node = NodeProcess(tmp_path / "node", rules)
    node.home.prepare()
    database = Database(node.home)
    queue = Queue(node.home, database)
    for number in range(3):
        job = queue.add(str(number), origin="node", model="ct", source="x", rule="ct")
        queue.claim("ct")
        queue.finish(job.id, verdict="clear", score=None, p_value=None)
        folder = node.home.result_folder(job.id) / "dicom"
        folder.mkdir(parents=True)
        image = make_image("1.2", "1.3", f"1.4.{number}", index=0, side=8, generator=np.random.default_rng())
        image.save_as(folder / "result.dcm", enforce_file_format=True)
    with database.transaction() as connection:
        connection.execute("UPDATE jobs SET planned = 1 WHERE id = ?", (job.id,))
        connection.execute("INSERT INTO deliveries (job, destination, planned) VALUES (?, 'renamed', 0)", (job.id,))
    yield node, database
    database.close()


def test_a_drain_ends_though_receivers_are_away_or_gone_from_the_rules(away):
    node, database = away
    with node:
        words = ["node", "drain", "--home", str(node.home.root), "--timeout", "30"]
        outcome = subprocess.run(
            [sys.executable, "-m", "tamperscan", *words], capture_output=True, text=True, check=False
        )
    assert outcome.returncode == 0, outcome.stderr
    rows = database.rows("SELECT destination, state, attempts > 0 AS tried FROM deliveries ORDER BY destination")
    assert [tuple(row) for row in rows] == [("archive", "waiting", 1)] * 2 + [("renamed", "dead", 0)]
