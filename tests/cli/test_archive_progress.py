import time

import pytest

from tamperscan.cli.archive_progress import ArchiveProgress, in_words


def event(**facts):
    usual = {"event": "progress", "files_done": 40, "files": 400, "counted": True, "series": 2, "slices": 30}
    return {**usual, "verdicts": {"clear": 1, "failed": 1}, **facts}


@pytest.fixture
def progress():
    progress = ArchiveProgress()
    progress._began = time.monotonic() - 60
    return progress


def test_files_that_are_no_scans_are_progress_too(progress):
    words = progress.words(event(files_done=393_040, files=1_000_100, series=0, slices=0, verdicts={}))
    assert words == ("393,040 of 1,000,100 files, 0 series (0.0 a minute, 0.0 slices a second), 0 suspicious, 0 failed")


def test_until_files_are_counted_nothing_is_said_of_their_number(progress):
    words = progress.words(event(counted=False))
    assert words == "40 files, 2 series (2.0 a minute, 0.5 slices a second), 0 suspicious, 1 failed"


def test_time_that_is_left_is_judged_by_the_files_done_since_the_first_series(progress):
    assert progress.seconds_left(event(series=0), 60) is None
    assert progress.seconds_left(event(files_done=40), 60) is None
    assert progress.seconds_left(event(files_done=100), 60) == pytest.approx(60 * 300 / 60)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (8000, "2 h"), (2e5, "2 d")]
)
def test_times_are_told_in_the_unit_that_fits(seconds, words):
    assert in_words(seconds) == words
