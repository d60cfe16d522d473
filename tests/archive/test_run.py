"""Runs on a real Ray of this machine, which is shared by all of these tests."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from archive_maker import make_series

from tamperscan.archive.discovery import Discovery
from tamperscan.archive.folder import ResultsFolder
from tamperscan.archive.places import Place
from tamperscan.archive.run import Flow, FoundQueue, screen_all
from tamperscan.archive.shards import stored_rows
from tamperscan.archive.summary import summarise
from tamperscan.errors import ArchiveError


def screened(cluster, archive, out, *, retry_failed=False, memory=2**27):
    """Screen an archive; gives the outcomes of this run and the verdicts of all."""
    outcomes = []
    with ResultsFolder(out) as folder:
        flow = Flow(cluster, folder.index, memory, retry_failed=retry_failed)
        discovery = Discovery(folder.index, cluster.read_headers, lambda _: None, retry_failed=retry_failed)

        def found():
            yield from discovery.under(Place("folder", str(archive)))
            yield from discovery.scattered()

        try:
            screen_all(flow, FoundQueue(found()), folder.index, out, lambda job, made: outcomes.append((job, made)))
        finally:
            flow.close()
        return outcomes, folder.index.verdicts()


class Deadly:
    """A cluster whose workers end when they screen certain series, as often as is said."""

    def __init__(self, cluster, deaths):
        self._cluster, self.deaths, self.at_once = cluster, deaths, []

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def screen(self, screener, found, read, attempts):
        if self.deaths.get(found.series, 0) > 0:
            self.deaths[found.series] -= 1
            self._cluster.end(screener)  # before it has anything to do: a small series is screened at once
        return self._cluster.screen(screener, found, read, attempts)


@pytest.fixture
def archive(tmp_path):
    for number in range(4):
        make_series(tmp_path / "in" / str(number), f"1.{number}", 1 + number, StudyDate="20240517")
    return tmp_path / "in"


def test_everything_gets_one_row(cluster, archive, tmp_path):
    broken = archive / "1" / "IM0000.dcm"
    broken.write_bytes(broken.read_bytes()[:-600])
    (archive / "2" / "IM0001.dcm").rename(archive / "3" / "of-2.dcm")
    _, verdicts = screened(cluster, archive, tmp_path / "out")
    assert sum(verdicts.values()) == 4
    rows = list(stored_rows(tmp_path / "out"))
    assert len({key for key, *_ in rows}) == len(rows) == 4
    again, _ = screened(cluster, archive, tmp_path / "out", retry_failed=False)
    assert again == []


def test_failed_series_are_tried_again(cluster, archive, tmp_path):
    broken = archive / "0" / "IM0000.dcm"
    whole, times = broken.read_bytes(), broken.stat()
    broken.write_bytes(whole[:-600] + b"\xff" * 0)
    _, verdicts = screened(cluster, archive, tmp_path / "out")
    assert verdicts["failed"] == 1
    broken.write_bytes(whole)
    os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))
    again, verdicts = screened(cluster, archive, tmp_path / "out", retry_failed=True)
    assert len(again) == 1
    assert "failed" not in verdicts


def test_a_series_whose_worker_ends_is_tried_alone_then_listed(cluster, archive, tmp_path):
    outcomes, verdicts = screened(Deadly(cluster, {"1.1": 1, "1.2": 2}), archive, tmp_path / "out")
    assert verdicts == {"abstained": 3, "failed": 1}
    attempts = {job.found.series: made.run["attempts"] for job, made in outcomes}
    assert attempts["1.1"] == attempts["1.2"] == 2
    (failed,) = [made.result for _, made in outcomes if made.result["verdict"] == "failed"]
    assert "twice, the second time with nothing else at work" in failed["reasons"][0]


def test_workers_that_end_one_after_the_other_end_the_run(cluster, tmp_path):
    for number in range(5):
        make_series(tmp_path / "in" / str(number), f"1.{number}", 1)
    always = {f"1.{number}": 9 for number in range(5)}
    with pytest.raises(ArchiveError, match="workers ended one after the other"):
        screened(Deadly(cluster, always), tmp_path / "in", tmp_path / "out")


def test_no_more_is_on_its_way_than_memory_allows(cluster, archive, tmp_path, monkeypatch):
    most = []
    real = Flow._assign
    monkeypatch.setattr(Flow, "_assign", lambda flow: (most.append(len(flow._jobs())), real(flow)))
    _, verdicts = screened(cluster, archive, tmp_path / "out", memory=1)
    assert max(most) == 1
    assert sum(verdicts.values()) == 4


def test_summary_of_a_run(cluster, archive, tmp_path):
    screened(cluster, archive, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text(
        '{"alarm_rate": 0.05, "version": "1", "detectors": {"CT": {"calibration_scores": [1.0, 2.0]}}}'
    )
    result = summarise(tmp_path / "out")
    assert (result.series, result.slices, result.verdicts) == (4, 10, {"abstained": 4})
    assert result.modalities[0].drift.whole.abstained == 4


LISTEN, ESTABLISHED, CONNECTING = "0A", "01", "02"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def addresses(pids):
    """Local addresses at which some processes listen, and remote ones that they are connected to."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                sockets |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, remote, state, *others = line.split()
            if others[5] in sockets and state in (LISTEN, ESTABLISHED, CONNECTING):
                yield (local if state == LISTEN else remote).rpartition(":")[0]


def program(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are looked up as Linux tells them")
def test_nothing_leaves_this_machine(cluster):
    from tamperscan.bench.archive_runs import below

    children = below(os.getpid())
    assert children
    found = set(addresses(children))
    assert found
    assert found <= LOOPBACK
    # What would report on its use is this program of Ray's, and it is told not to.
    (reporter,) = [pid for pid in children if b"dashboard.py" in (program(pid) or b"")]
    assert b"RAY_USAGE_STATS_ENABLED=0" in Path(f"/proc/{reporter}/environ").read_bytes()


def test_usage_statistics_are_off(cluster):
    usage_lib = pytest.importorskip("ray._common.usage.usage_lib")  # a part of Ray that moves about

    assert not usage_lib.usage_stats_enabled()
