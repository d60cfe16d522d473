import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from tamperscan.report.schema import (
    DISCLAIMER,
    METADATA_KEYS,
    ScreeningDocument,
    finite,
    json_schema,
    patient_position_mm,
    plain,
    screening_document,
)

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "screening-schema.json"


@pytest.mark.parametrize("kind", ["suspicious", "clear", "abstained"])
def test_document_validates_against_the_committed_schema(kind, request):
    document = screening_document(request.getfixturevalue(kind))
    jsonschema.validate(json.loads(document.model_dump_json()), json.loads(COMMITTED.read_text()))


def test_committed_schema_is_up_to_date():
    assert json.loads(COMMITTED.read_text()) == json_schema()


def test_document_survives_json(suspicious):
    document = screening_document(suspicious)
    assert ScreeningDocument.model_validate_json(document.model_dump_json()) == document


def test_abstained_document_has_nulls_and_no_nan(abstained):
    text = screening_document(abstained).model_dump_json()
    assert "NaN" not in text
    document = json.loads(text)
    assert document["score"] is None
    assert document["p_value"] is None
    assert document["slices"][0] == {"index": 0, "score": None, "p_value": None, "peak": None}


def test_finding_gives_voxel_and_patient_position(suspicious):
    finding = screening_document(suspicious).findings[0]
    assert finding.centre == (6, 44, 56)
    assert finding.centre_mm == (24.0, -4.0, -285.0)


def test_patient_position_uses_the_affine(suspicious):
    assert patient_position_mm(suspicious.scan, (0, 0, 0)) == (-60.0, -70.0, -300.0)


def test_sources_have_no_folders(suspicious):
    document = screening_document(suspicious)
    assert document.scan.sources[0] == "000.dcm"
    assert "/private" not in document.model_dump_json()


def test_metadata_is_limited_to_known_keywords(suspicious):
    assert screening_document(suspicious).scan.metadata == {"Manufacturer": "ACME", "KVP": "120"}
    assert not any(key.startswith("Patient") for key in METADATA_KEYS)


def test_created_is_in_utc(suspicious):
    assert json.loads(screening_document(suspicious).model_dump_json())["created"].endswith("Z")


def test_disclaimer_is_in_every_document(clear):
    assert screening_document(clear).disclaimer == DISCLAIMER
    assert "not a medical device" in DISCLAIMER


def test_p_value_above_one_is_refused(make_screening):
    with pytest.raises(ValidationError):
        screening_document(make_screening(p_value=1.5))


def test_numpy_numbers_become_plain_ones(make_screening):
    screening = make_screening(score=np.float32(2.5), p_value=np.float64(0.25), seconds=np.float32(1))
    document = json.loads(screening_document(screening).model_dump_json())
    assert (document["score"], document["p_value"], document["seconds"]) == (2.5, 0.25, 1.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (float("nan"), None),
        (np.array([1, 2]), [1, 2]),
        ((1, np.inf), [1, None]),
        ({"a": Path("/x/y.onnx")}, {"a": "y.onnx"}),
        (True, True),
        (None, None),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_settings_become_plain(value, expected):
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (float("inf"), None), (1 / 3, 0.333333), (123456789.0, 123457000.0)]
)
def test_numbers_are_rounded_and_finite(value, expected):
    assert finite(value) == expected
