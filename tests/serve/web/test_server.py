import socket

import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.web.server import address_of, listen


def test_address_can_be_opened():
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening, "127.0.0.1", secure=False) == f"http://127.0.0.1:{port}/"
        assert address_of(listening, "0.0.0.0", secure=True) == f"https://127.0.0.1:{port}/"
        assert address_of(listening, "::1", secure=False) == f"http://[::1]:{port}/"


def test_a_browser_that_comes_at_once_is_let_in():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname(), timeout=30):
        pass


def test_two_pages_on_one_port_are_told():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"Port {port} is taken"):
            listen("127.0.0.1", port)


def test_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"Port {port} is taken"):
            listen("127.0.0.1", port)


def test_foreign_address_is_told():
    with pytest.raises(ServeError, match="--host"):
        listen("192.0.2.1", 0)
