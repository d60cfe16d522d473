import json
import multiprocessing
import os
import threading

import pytest

from tamperscan.errors import OutputError
from tamperscan.serve.audit import BROKEN, FIRST, AuditLog, Head, head_path, line_sha256, read_head
from tamperscan.serve.audit_check import verify


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.jsonl"


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_each_line_has_the_hash_of_the_one_before(log):
    for number in range(3):
        AuditLog(log).append("received", instance=f"1.2.{number}")
    raw = log.read_bytes().splitlines()
    assert [line["previous"] for line in lines(log)] == [FIRST, line_sha256(raw[0]), line_sha256(raw[1])]
    assert [line["number"] for line in lines(log)] == [1, 2, 3]


def test_a_line_tells_event_time_and_facts(log):
    AuditLog(log).append("screened", score=1.5, verdict="clear", p_value=None)
    (line,) = lines(log)
    assert line["event"] == "screened"
    assert line["time"].endswith("+00:00")
    assert (line["score"], line["verdict"]) == (1.5, "clear")
    assert "p_value" not in line


def test_the_head_lies_beside(log):
    AuditLog(log).append("received")
    assert read_head(log) == Head(1, line_sha256(log.read_bytes()))


def test_several_lines_in_one_step(log):
    AuditLog(log).append_all([("received", {"instance": str(number)}) for number in range(5)])
    assert [line["instance"] for line in lines(log)] == list("01234")
    assert verify(log).intact


def test_what_a_file_says_can_not_break_a_line(log):
    AuditLog(log).append("refused", reason='a "quote"\nand a line\x1b[31m\u2028\ud800', share=float("nan"))
    assert len(log.read_bytes().splitlines()) == 1
    assert b"\x1b" not in log.read_bytes()
    assert lines(log)[0]["share"] == "nan"


def test_facts_can_not_take_the_place_of_the_chain(log):
    AuditLog(log).append("a")
    AuditLog(log).append("b", number=7, time="never", previous="x")
    assert verify(log).intact


def test_long_texts_are_cut(log):
    AuditLog(log).append("refused", reason="x" * 100_000)
    assert len(log.read_bytes()) < 2000


def test_many_long_texts_of_strange_letters_still_make_a_line(log):
    AuditLog(log).append("refused", **{f"fact{number}": "\U0001f600" * 5000 for number in range(20)})
    AuditLog(log).append("received")
    assert len(lines(log)) == 2
    assert verify(log).intact


def test_only_its_owner_may_read_it(log):
    AuditLog(log).append("received")
    assert log.stat().st_mode & 0o077 == 0


def append_some(log, who):
    for number in range(25):
        AuditLog(log).append("received", who=who, instance=str(number))


def test_processes_and_threads_take_turns(log):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_some, args=(log, who)) for who in range(2)]
    workers += [threading.Thread(target=append_some, args=(log, who)) for who in range(2, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(lines(log)) == 100
    assert verify(log).intact


def test_a_line_that_broke_off_is_closed_and_counted(log):
    AuditLog(log).append("received")
    with log.open("ab") as file:
        file.write(b'{"number":2,"ti')
    AuditLog(log).append("received")
    assert [raw[:12] for raw in log.read_bytes().splitlines()] == [b'{"number":1,', b'{"number":2,', b'{"number":3,']
    check = verify(log)
    assert check.intact
    assert any("broke off" in note for note in check.notes)


def test_a_cut_log_says_so_itself_in_its_next_line(log):
    for _ in range(4):
        AuditLog(log).append("received")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    AuditLog(log).append("received")
    assert [line["event"] for line in lines(log)] == ["received", "received", BROKEN, "received"]
    assert lines(log)[2]["expected_number"] == 4
    assert not verify(log).intact


def test_a_log_that_was_taken_away_says_so(log):
    AuditLog(log).append("received")
    log.unlink()
    AuditLog(log).append("received")
    assert lines(log)[0]["event"] == BROKEN


def test_a_damaged_head_does_not_stop_the_log(log):
    AuditLog(log).append("received")
    head_path(log).write_bytes(b"\xff\xff")
    AuditLog(log).append("received")
    assert verify(log).intact


def test_a_disk_that_takes_nothing_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"audit\.jsonl: the audit log can't be written"):
        AuditLog(tmp_path / "missing" / "audit.jsonl").append("received")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110 (it is no file)
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        AuditLog(tmp_path / "audit.jsonl").append("received")
