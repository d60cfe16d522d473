import pytest

from tamperscan.errors import OutputError, ScanError
from tamperscan.plain_text import in_words, printable
from tamperscan.safe_json import parse_json


def test_what_can_not_be_printed_is_written_out():
    assert printable("a\nb\x1b[31m\udcff\u202e") == r"a\nb\x1b[31m\udcff\u202e"
    assert printable("Müller 東京") == "Müller 東京"
    assert printable("x" * 10, 5) == "xx..."


def test_words_of_a_header():
    assert in_words("B30f\r\n \x1b[2Jx") == "B30f [2Jx"


def test_no_error_forges_a_line():
    assert str(OutputError("a\nb")) == r"a\nb"
    error = ScanError("a\n.dcm", "b\r", "c\x00")
    assert str(error) == r"a\n.dcm: b\r. c\x00."
    assert error.path == "a\n.dcm"


def test_json_without_an_end_is_a_value_error():
    with pytest.raises(ValueError, match="too deep"):
        parse_json("[" * 100_000)
