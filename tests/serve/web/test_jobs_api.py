import getpass
import json

import pytest

MISSING = "0" * 32


def add(page, key, **facts):
    return page.queue.add(key, **{"origin": "node", "model": "ct", "source": "x", "title": key, **facts})


def test_worklist_is_empty_at_first(page):
    assert page.get("/api/jobs").json() == {"items": [], "total": 0}


def test_worklist_has_pages_and_filters(page, done):
    for number in range(5):
        add(page, f"chest {number}", sender="CT7")
    assert page.get("/api/jobs", params={"limit": 2}).json()["total"] == 6
    assert len(page.get("/api/jobs", params={"limit": 2, "offset": 4}).json()["items"]) == 2
    for wanted, count in (
        ({"text": "ct7"}, 5),
        ({"text": "%"}, 0),
        ({"state": "queued"}, 5),
        ({"verdict": "suspicious"}, 1),
        ({"decision": "confirmed"}, 0),
        ({"state": "done", "decision": ""}, 1),
    ):
        assert page.get("/api/jobs", params=wanted).json()["total"] == count, wanted


@pytest.mark.parametrize(
    "wanted", [{"limit": 0}, {"limit": 10**9}, {"offset": -1}, {"state": "odd"}, {"text": "x" * 201}]
)
def test_odd_filters_are_refused(page, wanted):
    answer = page.get("/api/jobs", params=wanted)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(next(iter(wanted)))


def test_job_tells_no_paths(page, done):
    job = page.get(f"/api/jobs/{done.id}").json()
    assert job["verdict"] == "suspicious"
    assert "source" not in job
    assert str(page.home.root) not in json.dumps(job)


@pytest.mark.parametrize("id", ["x", "..", "%2e%2e", "0" * 33, "A" * 32, "../../etc/passwd", "%00"])
def test_odd_ids_are_no_jobs(page, id):
    assert page.get(f"/api/jobs/{id}").status_code in (404, 422)


def test_unknown_job(page):
    for path in ("", "/scans", "/scans/0/screening.json"):
        answer = page.get(f"/api/jobs/{MISSING}{path}")
        assert (answer.status_code, answer.json()["detail"][:8]) == (404, "There is")


def test_decision_is_kept_and_audited(page, done):
    wanted = {"decision": "confirmed", "comment": " Looks pasted.\nSee slice 0. ", "reviewer": "Dr. A\x1b[31m"}
    job = page.client.put(f"/api/jobs/{done.id}/decision", json=wanted).json()
    assert (job["decision"], job["comment"], job["reviewer"]) == (
        "confirmed",
        "Looks pasted.\nSee slice 0.",
        "Dr. A [31m",
    )
    page.client.put(f"/api/jobs/{done.id}/decision", json={"decision": ""})
    assert page.queue.job(done.id).reviewer == getpass.getuser()
    screened, first, second = [json.loads(line) for line in page.home.audit_log.read_text().splitlines()]
    assert (screened["event"], screened["job"]) == ("screened", done.id)
    assert (first["event"], first["decision"], first["reviewer_known_by"]) == ("decided", "confirmed", "own word")
    assert (second["decision"], second["before"]) == ("taken back", "confirmed")


@pytest.mark.parametrize(
    "body",
    [
        b"{bad",
        b"",
        b"[]",
        b'{"decision": "maybe"}',
        b'{"decision": "", "more": 1}',
        b'{"decision": "", "comment": "%s"}' % (b"x" * 2001),
    ],
)
def test_malformed_decision_is_refused(page, done, body):
    before = page.home.audit_log.read_bytes()
    answer = page.client.put(
        f"/api/jobs/{done.id}/decision", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert page.home.audit_log.read_bytes() == before


def test_decision_waits_for_the_result(page):
    job = add(page, "waiting")
    assert page.client.put(f"/api/jobs/{job.id}/decision", json={"decision": "confirmed"}).status_code == 409


def test_failed_job_is_tried_again(page, done):
    job = add(page, "failing")
    page.queue.claim("ct")
    page.queue.fail(job.id, "broke", final=True)
    assert page.client.post(f"/api/jobs/{job.id}/retry").json()["state"] == "queued"
    assert page.client.post(f"/api/jobs/{job.id}/retry").status_code == 409
    assert page.client.post(f"/api/jobs/{done.id}/retry").status_code == 409
