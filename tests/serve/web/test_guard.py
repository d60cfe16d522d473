import time

import pytest
from page_server import add_done

from tamperscan.serve.web.guard import host_name

TOKEN = "a-long-random-token"
EVIL = "http://evil.example"


def decide(page, job, **headers):
    return page.client.put(f"/api/jobs/{job.id}/decision", json={"decision": "confirmed"}, headers=headers)


@pytest.mark.parametrize(
    ("netloc", "name"),
    [("a.b:80", "a.b"), ("A.B", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("", "")],
)
def test_host_name(netloc, name):
    assert host_name(netloc) == name


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "10.0.0.5", ""])
def test_foreign_name_is_refused(page, host):
    assert page.get("/api/jobs", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]:8765", "LOCALHOST:1"])
def test_own_names_are_answered(page, host):
    assert page.get("/api/jobs", headers={"Host": host}).status_code == 200


def test_allowed_name_is_answered(start):
    with start(allowed_hosts=("scans.example.org",)) as page:
        assert page.get("/api/jobs", headers={"Host": "scans.example.org"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_change_from_another_site_is_refused(page, done, headers):
    assert decide(page, done, **headers).status_code == 403
    assert page.queue.job(done.id).decision == ""


def test_change_from_the_page_is_made(page, done):
    assert decide(page, done, Origin=page.url, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_everything_says_what_a_browser_may_do(page):
    for path in ("/", "/api/about", "/static/page.css", "/nowhere"):
        headers = page.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert page.get("/api/about").headers["cache-control"] == "no-store"


def test_without_token_nothing_is_told(start):
    with start(token=TOKEN) as page:
        for path in (
            "/api/about",
            "/api/jobs",
            "/api/openapi.json",
            "/read/x",
            "/nowhere",
            "/static",
            "/api/jobs/" + "0" * 32,
        ):
            assert page.get(path).status_code == 401
        answer = page.get("/", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert page.get("/login").status_code == 200


def test_token_lets_in(start):
    with start(token=TOKEN) as page:
        assert page.get("/api/about", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert page.get("/api/about", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert page.get("/api/about", headers={"Cookie": "tamperscan=nonsense"}).status_code == 401


def test_signing_in_and_out(start):
    with start(token=TOKEN) as page:
        answer = page.client.post("/api/login", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"].casefold()
        assert answer.status_code == 204
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert page.get("/api/about").json()["signed_in"]
        page.client.post("/api/logout")
        assert page.get("/api/about").status_code == 401


def test_guessing_is_slow(start):
    with start(token=TOKEN) as page:
        began = time.monotonic()
        assert page.client.post("/api/login", json={"token": "wrong"}).status_code == 401
        assert time.monotonic() - began > 0.9
        assert '"reason":"wrong token"' in page.home.audit_log.read_text()


def test_identity_is_taken_from_the_proxy(start, sample_results):
    with start(identity_header="X-User", trusted_proxies=("127.0.0.1",)) as page:
        job = add_done(page.queue, sample_results)
        assert page.get("/api/about").status_code == 401
        assert page.get("/api/about", headers={"X-User": "ann@example.org"}).json()["reviewer"] == "ann@example.org"
        wanted = {"decision": "dismissed", "reviewer": "somebody else"}
        page.client.put(f"/api/jobs/{job.id}/decision", json=wanted, headers={"X-User": "ann@example.org"})
        assert page.queue.job(job.id).reviewer == "ann@example.org"


def test_identity_from_elsewhere_is_not_believed(start):
    with start(identity_header="X-User", trusted_proxies=("10.0.0.5",)) as page:
        headers = {"X-User": "ann", "X-Forwarded-For": "10.0.0.5", "X-Real-IP": "10.0.0.5"}
        assert page.get("/api/about", headers=headers).status_code == 403


def test_identity_header_means_nothing_without_a_proxy(page, done):
    decide(page, done, **{"X-User": "ann"})
    assert page.queue.job(done.id).reviewer != "ann"


def test_large_request_is_refused(page, done):
    answer = page.client.put(f"/api/jobs/{done.id}/decision", content=b"x" * 70_000)
    assert answer.status_code == 413
    answer = page.client.put(f"/api/jobs/{done.id}/decision", content=iter([b"{}"]))
    assert answer.status_code == 411
