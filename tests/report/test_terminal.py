import io

import pytest
from rich.console import Console

from tamperscan.report.schema import screening_document
from tamperscan.report.terminal import print_research_use, print_screening
from tamperscan.report.write import write_report


def printed(document, files=None, **settings):
    console = Console(file=io.StringIO(), **settings)
    print_screening(console, document, files)
    return console.file.getvalue()


def test_plain_text_has_no_escapes_and_no_boxes(suspicious):
    text = printed(screening_document(suspicious))
    assert text.isascii()
    assert "\x1b" not in text


def test_verdict_and_numbers_are_told(suspicious):
    text = printed(screening_document(suspicious))
    assert "Suspicious: chest-1" in text
    assert "An authentic scan would score this high in about 2 of 100 cases (99 authentic scans compared);" in text
    assert "the alarm is at 5 of 100." in text
    assert "Score 7, p-value 0.02 (alarm at 0.05 or less)." in text


def test_findings_are_a_table(suspicious):
    text = printed(screening_document(suspicious))
    line = next(line for line in text.splitlines() if "too smooth" in line)
    assert line.split() == [
        "1",
        "6",
        "44",
        "56",
        "8",
        "x",
        "21",
        "x",
        "18",
        "mm",
        "too",
        "smooth",
        "7",
        "0.02",
    ]


def test_warnings_are_told(suspicious):
    assert "Note: Two slices are missing" in printed(screening_document(suspicious))


@pytest.mark.parametrize("terminal", [True, False])
def test_path_of_the_report_stays_in_one_line(suspicious, tmp_path, terminal):
    files = write_report(suspicious, tmp_path / ("long" * 30), pictures=False)
    assert f"Report: {files.page}\n" in printed(
        files.document, files, width=40, force_terminal=terminal, color_system=None
    )


def test_abstained_screening_tells_the_reason_and_no_numbers(abstained):
    text = printed(screening_document(abstained))
    assert "Not judged: chest-1" in text
    assert "The scan is MR, and the detector was calibrated on CT." in text
    assert "p-value" not in text


def test_terminal_gets_colours(suspicious):
    assert "\x1b[" in printed(screening_document(suspicious), force_terminal=True, color_system="truecolor")


@pytest.mark.parametrize("terminal", [True, False])
def test_markup_in_names_is_text(terminal, make_screening, make_scan, make_finding):
    screening = make_screening(scan=make_scan(name="[red]x[/]"), findings=(make_finding(sign="[link=x]a"),))
    text = printed(screening_document(screening), force_terminal=terminal, color_system=None, width=200)
    assert "[red]x[/]" in text
    assert "[link=x]a" in text


def test_research_use_is_told():
    console = Console(file=io.StringIO())
    print_research_use(console)
    assert "Not a medical device" in console.file.getvalue()
