"""The report as PDF: the verdict, the findings with their pictures, the slices, and what the result depends on.

The text is that of the page for people; nothing in it names the patient.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from tamperscan.report.canvas import FAINT, GRID, INK
from tamperscan.report.html import detector_rows, finding_rows, scan_rows
from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.wording import RESEARCH_USE, further_reasons, headline, is_alarming, limits_of
from tamperscan.report.write import COMPARISON, SLICES

_MARGIN: Final = 16 * mm
_WIDTH: Final = A4[0] - 2 * _MARGIN
_FRAME: Final = 6.0  # what reportlab leaves free within the margins
_FONT, _BOLD, _MONO = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono"
# The verdict's colours of the page: vermilion, blue and grey, on their pale tints.
_VERDICT: Final = {
    "suspicious": ("#b34d00", "#fdf1e7"),
    "clear": ("#005a8f", "#eaf4fa"),
    "abstained": ("#4a5260", "#f0f2f4"),
}
_LONGEST_VALUE: Final = 600
_FINDING_WIDTH: Final = 126 * mm  # so that two findings fit on a page


def render_pdf(document: ScreeningDocument, pictures: Mapping[str, bytes] | None = None) -> bytes:
    """Render a report as PDF.

    Parameters
    ----------
    document
        The screening.
    pictures
        PNGs by their file names, as `tamperscan.report.write.draw_pictures` gives them; a missing one is left out.

    Returns
    -------
    bytes
        A PDF of A4 pages with its fonts inside; the same document and pictures give the same bytes.
    """
    _load_fonts()
    drawn = pictures or {}
    story = [
        *_title(document),
        *_findings(document, drawn),
        *_charts(document, drawn),
        *_table("Scan", scan_rows(document)),
        *_table("Detector and settings", detector_rows(document)),
        *_notes("Notes on the input", document.scan.warnings),
        *_notes("What this result does not say", limits_of(document.scan.modality)),
    ]
    buffer = io.BytesIO()
    pages = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN - _FRAME,
        rightMargin=_MARGIN - _FRAME,
        topMargin=22 * mm,
        bottomMargin=18 * mm,
        title=f"tamperscan: {document.scan.name}",
        author="tamperscan",
        subject=RESEARCH_USE,
        invariant=1,
    )
    pages.build(story, onFirstPage=_frame_page, onLaterPages=_frame_page)
    return buffer.getvalue()


def _load_fonts() -> None:
    """Load the fonts that matplotlib ships: unlike PDF's own they have more than Western letters."""
    if _FONT in pdfmetrics.getRegisteredFontNames():
        return
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (_FONT, _BOLD, _MONO):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    pdfmetrics.registerFontFamily(_FONT, normal=_FONT, bold=_BOLD, italic=_FONT, boldItalic=_BOLD)


def _frame_page(canvas: Any, pages: Any) -> None:
    """Draw what every page says: what it is, and what it is not for."""
    width, height = A4
    canvas.saveState()
    canvas.setFillColor(colors.HexColor(FAINT))
    canvas.setFont(_FONT, 8)
    canvas.drawString(_MARGIN, height - 13 * mm, "tamperscan: screening for tampering")
    canvas.drawRightString(width - _MARGIN, 10 * mm, f"Page {pages.page}")
    canvas.drawString(_MARGIN, 10 * mm, RESEARCH_USE)
    canvas.setFillColor(colors.HexColor("#b34d00"))
    canvas.setFont(_BOLD, 9)
    canvas.drawRightString(width - _MARGIN, height - 13 * mm, "NOT FOR DIAGNOSIS")
    canvas.setStrokeColor(colors.HexColor(GRID))
    canvas.line(_MARGIN, height - 15 * mm, width - _MARGIN, height - 15 * mm)
    canvas.restoreState()


def _style(size: float, *, font: str = _FONT, colour: str = INK, after: float = 0.0) -> ParagraphStyle:
    return ParagraphStyle(
        "tamperscan",
        fontName=font,
        fontSize=size,
        leading=size * 1.4,
        textColor=colors.HexColor(colour),
        spaceAfter=after,
        splitLongWords=1,
    )


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(text), style)


def _heading(text: str) -> list[Flowable]:
    return [Spacer(0, 5 * mm), _paragraph(text, _style(12.5, font=_BOLD, after=2 * mm))]


def _title(document: ScreeningDocument) -> list[Flowable]:
    """State the verdict in a box, then why."""
    words = headline(document)
    ink, paper = _VERDICT[words.kind]
    said = [
        _paragraph(words.word, _style(20, font=_BOLD, colour=ink, after=2 * mm)),
        _paragraph(words.sentence, _style(11)),
        *([_paragraph(words.chance, _style(10, after=1 * mm))] if words.chance else []),
        _paragraph(words.advice, _style(10)),
    ]
    box = Table([[said]], colWidths=[_WIDTH])
    box.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), colors.HexColor(paper)),
                ("LINEBEFORE", (0, 0), (0, -1), 3, colors.HexColor(ink)),
                *((f"{side}PADDING", (0, 0), (-1, -1), 4 * mm) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
            ]
        )
    )
    shown = f"{document.scan.modality} scan {document.scan.name}"
    title = _paragraph(shown, _style(14, font=_BOLD, after=3 * mm))
    reasons = [_paragraph(reason, _style(9.5)) for reason in further_reasons(document)]
    return [title, box, Spacer(0, 3 * mm), *reasons]


def _findings(document: ScreeningDocument, drawn: Mapping[str, bytes]) -> list[Flowable]:
    if not document.findings:
        return []
    story = _heading("Findings, the most suspicious first")
    for number, facts in enumerate(document.findings, start=1):
        mark = " (at or under the alarm rate)" if is_alarming(facts.p_value, document.alarm_rate) else ""
        parts = [
            _paragraph(
                f"{number}. Slice {facts.centre[0]}: {facts.sign}{mark}", _style(10.5, font=_BOLD, after=1.5 * mm)
            )
        ]
        parts += _picture(drawn.get(f"finding_{number:02}.png"), _FINDING_WIDTH)
        parts += [_rows(finding_rows(document, facts), size=7.5), Spacer(0, 4 * mm)]
        story.append(KeepTogether(parts))
    return story


def _charts(document: ScreeningDocument, drawn: Mapping[str, bytes]) -> list[Flowable]:
    story: list[Flowable] = []
    for name, title in ((SLICES, "Along the scan"), (COMPARISON, "Among authentic scans")):
        if name in drawn:
            story.append(KeepTogether([*_heading(title), *_picture(drawn[name])]))
    return story


def _picture(png: bytes | None, most: float = _WIDTH) -> list[Flowable]:
    if png is None:
        return []
    wide, high = ImageReader(io.BytesIO(png)).getSize()
    width = min(most, wide * 0.5)
    return [Image(io.BytesIO(png), width=width, height=width * high / wide, hAlign="LEFT"), Spacer(0, 1.5 * mm)]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> list[Flowable]:
    return [*_heading(title), _rows(rows)]


def _rows(rows: Sequence[tuple[str, str]], size: float = 8.5) -> Table:
    label, value = _style(size, colour=FAINT), _style(size)
    hashed = _style(7, font=_MONO)
    cells = [
        [_paragraph(name, label), _paragraph(_shortened(text), hashed if "SHA-256" in name else value)]
        for name, text in rows
    ]
    table = Table(cells, colWidths=[55 * mm, _WIDTH - 55 * mm])
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(GRID)),
                ("TOPPADDING", (0, 0), (-1, -1), 1.2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.4),
                ("LEFTPADDING", (0, 0), (0, -1), 0),
            ]
        )
    )
    return table


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} ..."


def _notes(title: str, notes: Sequence[str]) -> list[Flowable]:
    if not notes:
        return []
    return [*_heading(title), *(_paragraph(note, _style(9, after=1.2 * mm)) for note in notes)]
