import re
from html.parser import HTMLParser

import pytest

from tamperscan.report.html import render_html
from tamperscan.report.schema import FileNames, screening_document
from tamperscan.report.write import draw_pictures

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x.png>'


class Outline(HTMLParser):
    """Collects the tags and the addresses of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def page_of(screening):
    return render_html(screening_document(screening))


def page_with_pictures(screening):
    files = FileNames(slices="slices.png", comparison="comparison.png", findings=["finding_01.png"])
    document = screening_document(screening, files)
    return render_html(document, draw_pictures(screening, document))


def text_of(page):
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_suspicious_page_says_so_in_plain_words(suspicious):
    text = text_of(page_of(suspicious))
    assert "A place in slice 6 differs from what authentic scans look like." in text
    assert "An authentic scan would score this high in about 2 of 100 cases (99 authentic scans compared);" in text
    assert "the alarm is at 5 of 100." in text
    assert "Research use only. Not a medical device. Not for diagnosis." in text


def test_page_holds_the_facts_of_a_finding(suspicious):
    text = text_of(page_of(suspicious))
    for fact in ("44, 56", "24.0, -4.0, -285.0 mm", "8 x 21 x 18 mm", "too smooth", "006.dcm", "0.02"):
        assert fact in text
    assert "Noise at 12 to 32 HU is 2.1 times that of the rest of the lungs." in text


def test_page_says_what_was_checked(suspicious):
    text = text_of(page_of(suspicious))
    for fact in (
        "9 of 12",
        "ab" * 32,
        "cd" * 32,
        "Noise levels (HU)",
        "5, 12, 20, 32",
        "Two slices are missing",
    ):
        assert fact in text


def test_page_leaves_calibration_scores_to_the_chart(suspicious):
    assert "Calibration scores" not in text_of(page_of(suspicious))


def test_page_says_what_it_cannot_tell(clear):
    text = text_of(page_of(clear))
    for limit in ("does not mean that the scan is authentic", "lossy compression", "1/100", "CT-GAN"):
        assert limit in text


def test_limit_of_the_p_value_without_calibration_scores(make_clear):
    assert "1/(n + 1)" in text_of(page_of(make_clear(settings={})))


def test_clear_page_makes_no_promise(clear):
    text = text_of(page_of(clear))
    assert "Nothing was found that differs from what authentic scans look like." in text
    assert "It does not show that the scan is authentic." in text


def test_clear_page_with_places_calls_them_no_findings(make_clear, make_finding):
    text = text_of(page_of(make_clear(findings=(make_finding(p_value=0.6),))))
    assert "Most unusual places" in text
    assert "under the alarm limit" in text


def test_abstained_page_says_why_and_what_to_do(abstained):
    text = text_of(page_of(abstained))
    assert "Why: The scan is MR, and the detector was calibrated on CT." in text
    assert "What to do: Treat this scan as not screened." in text


def test_page_needs_nothing_else(suspicious):
    outline = Outline(page_with_pictures(suspicious))
    assert outline.tags.count("img") == 3
    assert all(address.startswith("data:image/png;base64,") for address in outline.addresses)
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)


def test_hostile_names_are_escaped(make_screening, make_scan, make_finding):
    scan = make_scan(name=HOSTILE, warnings=(HOSTILE,), metadata={"Manufacturer": HOSTILE}, sources=(HOSTILE,) * 12)
    hostile = make_finding(sign=HOSTILE, evidence=HOSTILE)
    settings = {HOSTILE: HOSTILE}
    page = page_of(make_screening(scan=scan, findings=(hostile,), reasons=(HOSTILE,), settings=settings))
    outline = Outline(page)
    assert "script" not in outline.tags
    assert outline.addresses == []
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("kind", ["suspicious", "clear", "abstained"])
def test_page_has_one_verdict(kind, request):
    page = page_of(request.getfixturevalue(kind))
    assert page.startswith("<!doctype html>")
    assert page.count("<h1>") == 1
    assert f'class="card verdict {kind}"' in page


def test_settings_of_all_kinds_are_readable(make_clear):
    settings = {"window_mm": 32, "by_sign": {"too smooth": 1.5}, "none": None, "tile_px": (1, 2)}
    text = text_of(page_of(make_clear(settings=settings)))
    for words in ("Window (mm) 32", "By sign too smooth 1.5", "None -", "Tile (px) 1, 2"):
        assert words in text
