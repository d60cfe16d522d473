import io
import shutil
import subprocess

import pytest

from tamperscan.report.pdf import render_pdf
from tamperscan.report.schema import screening_document
from tamperscan.report.write import draw_pictures


def text_of(pdf):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (Debian's poppler-utils) is not installed")
    run = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return " ".join(run.stdout.decode().split())


def pdf_of(screening, pictures=None):
    return render_pdf(screening_document(screening), pictures)


@pytest.mark.parametrize(
    ("kind", "said"), [("suspicious", "Suspicious"), ("clear", "Nothing found"), ("abstained", "Not judged")]
)
def test_it_says_the_verdict_and_what_it_is_not_for(kind, said, request):
    text = text_of(pdf_of(request.getfixturevalue(kind)))
    assert said in text
    assert "NOT FOR DIAGNOSIS" in text
    assert "Research use only. Not a medical device." in text


def test_it_holds_findings_settings_hashes_and_notes(suspicious):
    text = text_of(pdf_of(suspicious))
    for fact in ("1. Slice 6: too smooth", "8 x 21 x 18 mm", "cd" * 32, "ab" * 32, "Noise levels (HU)", "Two slices"):
        assert fact in text, fact


def test_pictures_are_in_it(suspicious):
    drawn = draw_pictures(suspicious, screening_document(suspicious))
    assert len(pdf_of(suspicious, drawn)) > len(pdf_of(suspicious)) + 50_000


def test_markup_in_texts_is_text(make_screening):
    text = text_of(pdf_of(make_screening(reasons=("<b>1</b> & <img src='x'/> 2",))))
    assert "<b>1</b> & <img src='x'/> 2" in text


def test_letters_of_other_scripts(make_screening, make_scan):
    scan = make_scan(warnings=("1 file left out (first: снимок.dcm).",))
    assert "снимок.dcm" in text_of(pdf_of(make_screening(scan=scan)))


def test_very_long_texts_and_many_findings(make_screening, make_finding):
    findings = tuple(make_finding(evidence="x" * 3000) for _ in range(10))
    pdf = pdf_of(make_screening(findings=findings, reasons=("word " * 3000,)))
    assert pdf.startswith(b"%PDF-")


def test_the_same_document_gives_the_same_bytes(suspicious):
    document = screening_document(suspicious)
    assert render_pdf(document) == render_pdf(document)


def test_it_can_be_drawn(suspicious):
    if shutil.which("pdftoppm") is None:
        pytest.skip("pdftoppm (Debian's poppler-utils) is not installed")
    from PIL import Image

    drawn = draw_pictures(suspicious, screening_document(suspicious))
    run = subprocess.run(
        ["pdftoppm", "-r", "30", "-f", "1", "-l", "1", "-png"],
        input=pdf_of(suspicious, drawn),
        capture_output=True,
        check=True,
    )
    page = Image.open(io.BytesIO(run.stdout)).convert("RGB")
    assert len(page.getcolors(10**6)) > 100
