import hashlib
import re
from pathlib import Path

from tamperscan.errors import OutputError
from tamperscan.serve.web.app import STATIC

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "web-api.md"


def operations(page):
    paths = page.get("/api/openapi.json").json()["paths"]
    return [(method, path, one) for path, methods in paths.items() for method, one in methods.items()]


def test_every_route_is_described(page):
    found = operations(page)
    assert len(found) >= 14
    for _, path, one in found:
        assert one["summary"], path
        assert one["description"], path
        assert {"401", "403", "421"} <= set(one["responses"]), path
        for parameter in one.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])
        for status, response in one["responses"].items():
            assert response["description"], (path, status)


def test_every_route_is_in_the_reference(page):
    told = set(re.findall(r"\| `(GET|POST|PUT) (/\S*)`", DOCS.read_text()))
    assert told == {(method.upper(), path) for method, path, _ in operations(page)}


def test_unknown_pages_are_told(page):
    assert page.get("/nowhere").status_code == 404
    assert page.get("/api/nowhere").status_code == 404
    assert page.client.delete("/api/jobs").status_code == 405


def test_static_files_stay_in_their_folder(page):
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "vendor/../../app.py", "//etc/passwd"):
        assert page.get(f"/static/{path}").status_code == 404


def test_pages_have_no_script_or_style_inside():
    for path in STATIC.glob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), path.name
        assert not re.search(r"(src|href)=\"(?!/)", text.replace('href="#', 'href="/')), path.name


def test_scripts_fetch_nothing_from_elsewhere():
    for path in STATIC.glob("*.js"):
        assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path.name


def test_scripts_write_no_html():
    for path in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text())


def test_viewer_is_as_it_was_published():
    digest = hashlib.sha256((STATIC / "vendor" / "niivue.umd.js").read_bytes()).hexdigest()
    assert digest in (STATIC / "vendor" / "README.md").read_text()
    assert "BSD 2-Clause License" in (STATIC / "vendor" / "LICENSES.txt").read_text()


def test_fault_is_told_without_paths(page, monkeypatch):
    def fail(*_, **__):
        raise OutputError("/secret/place: no space left.")

    monkeypatch.setattr(type(page.queue), "jobs", fail)
    answer = page.get("/api/jobs")
    assert answer.status_code == 500
    assert "secret" not in answer.text
