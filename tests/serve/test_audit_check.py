import json

import pytest

from tamperscan.errors import OutputError
from tamperscan.serve.audit import FIRST, AuditLog, Head, head_path, line_sha256
from tamperscan.serve.audit_check import read_anchors, verify


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.jsonl"
    AuditLog(path).append_all([("received", {"instance": f"1.2.{number}"}) for number in range(6)])
    return path


def change(log, edit):
    """Rewrite the log with its lines edited."""
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(edit(lines)))


def rewritten(lines):
    """The lines chained anew, as one does who may write the log."""
    previous = FIRST
    for number, line in enumerate(lines, start=1):
        facts = json.loads(line) | {"number": number, "previous": previous}
        raw = json.dumps(facts, separators=(",", ":")).encode()
        previous = line_sha256(raw)
        yield raw + b"\n"


def forge_head(log):
    lines = log.read_bytes().splitlines()
    head_path(log).write_text(json.dumps({"number": len(lines), "sha256": line_sha256(lines[-1])}))


def test_an_untouched_log_is_intact(log):
    check = verify(log)
    assert check.intact
    assert check.head.number == 6
    assert check.first <= check.last


def test_an_empty_log_is_intact(tmp_path):
    (tmp_path / "empty").touch()
    assert verify(tmp_path / "empty").intact


def test_every_changed_byte_is_found(log):
    whole = log.read_bytes()
    for place in range(len(whole)):
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not verify(log).intact, place


def test_the_altered_line_is_named(log):
    change(log, lambda lines: [*lines[:2], lines[2].replace(b"1.2.2", b"1.2.9"), *lines[3:]])
    assert verify(log).problems[0].startswith("Line 3 was altered")


@pytest.mark.parametrize("taken", range(6))
def test_a_line_that_was_taken_out_is_found(log, taken):
    change(log, lambda lines: lines[:taken] + lines[taken + 1 :])
    assert not verify(log).intact


def test_a_line_that_was_put_in_is_found(log):
    change(log, lambda lines: [*lines[:3], lines[1], *lines[3:]])
    assert not verify(log).intact


def test_lines_in_another_order_are_found(log):
    change(log, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    assert not verify(log).intact


def test_a_cut_end_is_found_by_the_head(log):
    change(log, lambda lines: lines[:4])
    assert verify(log).problems == ("The log has 4 lines, but its head says 6: its end was cut",)


def test_without_the_head_the_end_is_not_vouched_for(log):
    change(log, lambda lines: lines[:4])
    head_path(log).unlink()
    check = verify(log)
    assert check.intact
    assert any("can't be told" in note for note in check.notes)


def test_only_an_anchor_finds_a_cut_end_with_an_adapted_head(log):
    anchor = verify(log).head
    change(log, lambda lines: lines[:4])
    forge_head(log)
    assert verify(log).intact
    assert verify(log, [anchor]).problems == ("The log has 4 lines, but had 6 when its anchor was made: cut",)


def test_only_an_anchor_finds_a_log_written_anew(log):
    anchors = [verify(log).head]
    AuditLog(log).append("received", instance="1.2.7")
    change(log, lambda lines: rewritten([lines[0], *lines[2:], lines[-1]]))
    forge_head(log)
    assert verify(log).intact
    assert "Line 6 is not the one of the anchor" in verify(log, anchors).problems[0]


def test_an_anchor_holds_while_the_log_grows(log):
    anchors = [Head(0, FIRST), verify(log).head]
    AuditLog(log).append("received")
    anchors.append(verify(log).head)
    check = verify(log, anchors)
    assert check.intact
    assert check.anchors == 3


def test_a_head_that_lags_is_a_note(log):
    before = head_path(log).read_bytes()
    AuditLog(log).append("received")
    head_path(log).write_bytes(before)
    check = verify(log)
    assert check.intact
    assert any("1 lines behind" in note for note in check.notes)


@pytest.mark.parametrize("rest", [b'{"number":7', b"\0" * 40, b"[]\n", b"7\n", b"[" * 100_000, b"\xff\xfe\n"])
def test_a_rest_that_is_no_line_is_a_problem(log, rest):
    with log.open("ab") as file:
        file.write(rest)
    assert not verify(log).intact


def test_a_file_of_something_else_is_told_shortly(tmp_path):
    (tmp_path / "other").write_text("no line\n" * 1000 + '{"number": "x", "previous": 7}\n' * 1000)
    assert len(verify(tmp_path / "other").problems) <= 101


def test_anchors_are_read(tmp_path, log):
    head = verify(log).head
    (tmp_path / "anchors").write_text(json.dumps({"lines": 6, "head": head.sha256}) + "\n\n")
    assert read_anchors(tmp_path / "anchors") == [head]


@pytest.mark.parametrize(
    "text", ["", "{}", "x", '{"lines": 1, "head": "zz"}', '{"lines": -1, "head": "' + "0" * 64 + '"}']
)
def test_what_is_no_anchor_is_refused(tmp_path, text):
    (tmp_path / "anchors").write_text(text)
    with pytest.raises(OutputError, match="anchor"):
        read_anchors(tmp_path / "anchors")


def test_a_log_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OutputError, match="can't be read"):
        verify(tmp_path / "none")
