import json
from types import SimpleNamespace

from tamperscan.serve.home import Home
from tamperscan.serve.refusals import MOST_A_SECOND, Refusals


def lines(home):
    return [json.loads(line) for line in home.audit_log.read_text().splitlines()]


def test_a_refusal_is_audited(tmp_path):
    home = Home(tmp_path)
    Refusals(home).tell("the disk is full", sender="CT1", instance="1.2.3")
    (line,) = lines(home)
    assert (line["event"], line["reason"], line["sender"]) == ("refused", "the disk is full", "CT1")


def test_of_a_flood_of_refusals_most_are_only_counted(tmp_path, monkeypatch):
    home, now = Home(tmp_path), [0.0]
    monkeypatch.setattr("tamperscan.serve.refusals.time", SimpleNamespace(monotonic=lambda: now[0]))
    refusals = Refusals(home)
    for _ in range(10 * MOST_A_SECOND):
        refusals.tell("calling AE title not recognized", sender="FLOOD")
    assert len(lines(home)) == MOST_A_SECOND
    now[0] = 1.5
    refusals.tell("calling AE title not recognized", sender="FLOOD")
    assert lines(home)[-1]["untold"] == str(9 * MOST_A_SECOND)
