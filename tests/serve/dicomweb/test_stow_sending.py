"""What of a web archive's answers means that it is out of reach, and what is about the objects."""

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("httpx")

import numpy as np
from pydicom.uid import generate_uid

from tamperscan.bench.node_instances import make_image
from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.push import MOST_IN_REQUEST
from tamperscan.serve.sending import UnreachableError, read_outgoing, send_by_stow
from tamperscan.serve.settings import StowDestination


@pytest.fixture
def objects(tmp_path):
    """One more than a request takes."""
    for number in range(MOST_IN_REQUEST + 1):
        image = make_image(*(generate_uid() for _ in "abc"), index=0, side=8, generator=np.random.default_rng())
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    return [read_outgoing(path) for path in tmp_path.iterdir()]


@pytest.fixture
def send(archive, objects):
    return lambda count: send_by_stow(StowDestination(kind="stow", url=archive.url), objects[:count])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_a_web_archive_that_refuses_is_not_out_of_reach(archive, send, status):
    archive.will_answer(status)
    with pytest.raises(ServeError, match=str(status)) as caught:
        list(send(1))
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_web_archive_that_is_overloaded_is_out_of_reach(archive, send, status):
    archive.will_answer(status)
    with pytest.raises(UnreachableError, match=str(status)):
        list(send(1))


def test_no_encrypted_connection_is_out_of_reach(archive, objects):
    destination = StowDestination(kind="stow", url=archive.url.replace("http:", "https:"))
    with pytest.raises(UnreachableError, match="no TLS connection"):
        list(send_by_stow(destination, objects[:1]))


def test_what_a_web_archive_took_before_it_was_overloaded_is_told(archive, send):
    archive.will_answer(200)
    archive.will_answer(503)
    told = []
    with pytest.raises(UnreachableError):
        told.extend(problem for _, problem in send(MOST_IN_REQUEST + 1))
    assert told == [""] * MOST_IN_REQUEST
