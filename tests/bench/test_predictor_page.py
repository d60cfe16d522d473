import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.predictor_figures import PredictorResult, VariantFigures
from tamperscan.bench.predictor_page import predictors_page
from tamperscan.bench.student_figures import Found, Likeness, StudentFigures

LESS, MORE, ALIKE = Estimate(0.9, 0.85, 0.95), Estimate(1.2, 1.1, 1.3), Estimate(1.0, 0.9, 1.1)
ERRORS = (Estimate(0.5, 0.4, 0.6),) * 3


def figures(name, words, ratio, *, everywhere=True):
    errors = ERRORS if everywhere else None
    return VariantFigures(name, words, 10, 1000, 1.5, errors, ratio if everywhere else None, ERRORS, ratio)


def student(*differences):
    likeness = Likeness(Estimate(0.99, 0.98, 1.0), Estimate(0.1, 0.05, 0.2))
    auc = Estimate(0.9, 0.8, 1.0)
    found = tuple(Found(kind, 14, auc, auc, gap) for kind, gap in zip(("FB", "FM"), differences, strict=True))
    return StudentFigures((15.0, 26.0), 300, 1.9, (likeness,) * 2, likeness, likeness, 20, 5, found, (43, 20))


def page(*variants, of_student=None):
    result = PredictorResult(10, 8, 64, "0" * 64, 7, 30, 200, 3, 36, variants, of_student)
    return predictors_page(result, Provenance("tamperscan bench predictors", "abc"))


def test_page_says_what_helps():
    text = page(
        figures("middle", "widths 32", None), figures("large", "widths 48", LESS), figures("small", "widths 16", MORE)
    )
    assert "| widths 48 | 1,000 | 10 | 1.5 | 0.500 [0.400, 0.600] |" in text
    words = " ".join(text.split())
    assert "Beside the first: widths 48: 10.0 % less error; widths 16: 20.0 % more error." in words
    assert "### Neighbouring slices" not in text


def test_page_says_where_nothing_can_be_told():
    assert "widths 48: no difference that could be told." in page(figures("large", "widths 48", ALIKE))


def test_neighbours_have_a_table_of_their_own():
    text = page(figures("middle", "widths 32", None), figures("neighbours", "with neighbours", LESS, everywhere=False))
    general, own = text.split("### Neighbouring slices")
    assert "with neighbours" not in general
    assert "| with neighbours | 0.500 [0.400, 0.600] |" in own
    assert "36 crops of 3 patients" in " ".join(own.split())


@pytest.mark.parametrize(
    ("worst", "words"),
    [
        (Estimate(0.0, -0.01, 0.01), "costs no accuracy that was found here"),
        (Estimate(-0.01, -0.1, 0.02), "it can't be said that it costs nothing"),
        (Estimate(-0.05, -0.1, -0.01), "costs accuracy: 0.05 of AUC on injection"),
    ],
)
def test_page_says_what_the_student_costs(worst, words):
    text = page(figures("middle", "widths 32", None), of_student=student(Estimate(0.01, 0.0, 0.02), worst))
    assert words in " ".join(text.split())
    assert "1/1.90" in text
