import json

import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.access import Access, check_url, in_clear, load_access


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch):
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"TAMPERSCAN_DICOMWEB_{name}", raising=False)


def credentials(tmp_path, content, mode=0o600):
    path = tmp_path / "credentials.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_nothing_is_sent_by_default():
    assert not load_access().has_credentials


def test_a_token_from_the_environment(monkeypatch):
    monkeypatch.setenv("TAMPERSCAN_DICOMWEB_TOKEN", "secret")
    assert load_access().token == "secret"


def test_a_user_from_a_file(tmp_path):
    access = load_access(credentials(tmp_path, {"user": "node", "password": "secret"}))
    assert (access.user, access.password) == ("node", "secret")


def test_a_file_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TAMPERSCAN_DICOMWEB_TOKEN", "other")
    assert load_access(credentials(tmp_path, {"token": "mine"})).token == "mine"


def test_secrets_are_not_shown():
    assert "secret" not in repr(Access(token="secret", user="node", password="secret"))


def test_a_file_that_others_may_read_is_refused(tmp_path):
    with pytest.raises(ServeError, match="others may read"):
        load_access(credentials(tmp_path, {"token": "mine"}, mode=0o644))


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "{}", {"token": 7}, {"tokn": "x"}, {"user": "x"}, {"token": "a\nb"}]
)
def test_a_file_without_credentials_is_refused(tmp_path, content):
    with pytest.raises(ServeError):
        load_access(credentials(tmp_path, content))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ServeError, match="can't be read"):
        load_access(tmp_path / "none")


@pytest.mark.parametrize("url", ["", "pacs", "ftp://pacs/x", "https://", "http://[", "https://pacs/x?y", "http://p:x/"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ServeError, match="DICOMweb address"):
        check_url(url)


def test_a_password_in_the_address_is_refused_and_not_told():
    with pytest.raises(ServeError) as error:
        check_url("https://node:secret@pacs.example/dicom-web")
    assert "secret" not in str(error.value)


def test_credentials_over_plain_http_are_noticed():
    assert in_clear("http://pacs.example/dicom-web", Access(token="x"))
    assert not in_clear("https://pacs.example/dicom-web", Access(token="x"))
    assert not in_clear("http://127.0.0.1:8042/dicom-web", Access(token="x"))
    assert not in_clear("http://pacs.example/dicom-web", Access())
