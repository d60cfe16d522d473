import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.web.settings import PageSettings, is_loopback

TOKEN = "a-long-random-token"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.1.2.3"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "scans.example.org", ""])
def test_not_loopback(host):
    assert not is_loopback(host)


def test_alone_on_this_machine_needs_nothing():
    PageSettings().check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5"])
def test_other_machines_need_a_token_or_a_proxy(host):
    with pytest.raises(ServeError, match="--token-file"):
        PageSettings(host=host).check()
    PageSettings(host=host, token=TOKEN).check()
    PageSettings(host=host, identity_header="X-User", trusted_proxies=("10.0.0.5",)).check()


def test_short_token_is_refused():
    with pytest.raises(ServeError, match="16"):
        PageSettings(token="secret").check()


def test_identity_header_from_anyone_is_refused():
    with pytest.raises(ServeError, match="--trusted-proxy"):
        PageSettings(identity_header="X-User").check()


def test_proxy_without_header_is_refused():
    with pytest.raises(ServeError, match="--identity-header"):
        PageSettings(trusted_proxies=("10.0.0.5",)).check()


def test_proxy_that_is_no_address_is_refused():
    with pytest.raises(ServeError, match=r"proxy\.example"):
        PageSettings(identity_header="X-User", trusted_proxies=("proxy.example",)).check()
