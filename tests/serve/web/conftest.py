"""A page that runs, with a home of its own, and the results of the packaged sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from page_server import Page, add_done, running

import tamperscan
from tamperscan.data import sample_path
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Job
from tamperscan.serve.web.settings import PageSettings


@pytest.fixture(scope="session")
def sample_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the worker writes for the packaged sample: report, DICOM results and volumes."""
    from tamperscan.report import write_report

    detector = tamperscan.load_detector("ct")
    screening = detector.screen(tamperscan.read_scan(sample_path()), alarm_rate=0.05)
    folder = tmp_path_factory.mktemp("sample") / "results"
    write_report(screening, folder, dicom=True, nifti=True, weights=detector.weights)
    return folder


@pytest.fixture
def start(home: Home) -> Callable[..., AbstractContextManager[Page]]:
    """Give a way to serve the home with settings: ``with start(token=...) as page``."""
    return lambda **settings: running(home, PageSettings(**settings))


@pytest.fixture
def page(start: Callable[..., AbstractContextManager[Page]]) -> Iterator[Page]:
    with start() as served:
        yield served


@pytest.fixture
def done(page: Page, sample_results: Path) -> Job:
    return add_done(page.queue, sample_results)
