import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.find import FoundSeries, find_instances, find_series, is_uid, read_query

STUDY, SERIES = "0020000D", "0020000E"
INSTANCE, MODALITY = "00080018", "00080060"


def result(**values):
    return {tag.removeprefix("x"): {"vr": "UI", "Value": [value]} for tag, value in values.items()}


def answering(archive, studies, series):
    """Make the archive answer QIDO with these, page by page where it is asked to."""
    import json
    from urllib.parse import parse_qs, urlsplit

    def answer(request):
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        start, count = int(query["offset"][0]), int(query["limit"][0])
        found = series if parts.path.endswith("/series") else studies
        return 200, {}, json.dumps(found[start : start + count]).encode()

    archive.answer_with = answer


def found(archive, *query):
    problems = []
    with Client(archive.url, Access()) as client:
        return list(find_series(client, read_query(query), problems.append)), problems


def test_conditions_are_read():
    assert read_query(["PatientID=7&StudyDate=20260101-", "(0008,0060)=CT"]) == {
        "PatientID": "7",
        "StudyDate": "20260101-",
        "Modality": "CT",
    }


@pytest.mark.parametrize("query", [[], [""], ["PatientID"], ["PatientID="], ["Nonsense=7"], ["12345678=7"], ["A=\n"]])
def test_what_is_no_condition_is_refused(query):
    with pytest.raises(ServeError):
        read_query(query)


def test_series_are_asked_within_studies(archive):
    answering(archive, [result(x0020000D="1.2")], [result(x0020000E="1.2.3", x00080060="CT")])
    assert found(archive, "PatientID=7", "Modality=CT")[0] == [FoundSeries("1.2", "1.2.3", "CT")]
    assert "PatientID=7" in archive.requests[0].path
    assert "ModalitiesInStudy=CT" in archive.requests[0].path
    assert archive.requests[2].path.startswith("/dicom-web/studies/1.2/series?Modality=CT&includefield=Modality")


def test_without_a_modality_ct_and_mr_are_wanted(archive):
    series = [
        result(x0020000E=f"1.2.{number}", x00080060=kind) for number, kind in enumerate(("CT", "SR", "MR", "SEG"))
    ]
    answering(archive, [result(x0020000D="1.2")], series)
    assert [one.modality for one in found(archive, "PatientID=7")[0]] == ["CT", "MR"]


def test_an_archive_that_leaves_out_conditions_is_not_believed(archive):
    answering(archive, [result(x0020000D="1.2")], [result(x0020000E="1.2.3", x00080060="US")])
    assert found(archive, "Modality=CT")[0] == []


def test_all_pages_are_read(archive, monkeypatch):
    monkeypatch.setattr("tamperscan.serve.dicomweb.find.PAGE", 3)
    answering(archive, [result(x0020000D=f"1.{number}") for number in range(8)], [])
    found(archive, "PatientID=7")
    assert len([one for one in archive.requests if "/series" in one.path]) == 8


def test_an_archive_that_knows_no_pages_gives_each_once(archive):
    archive.will_answer(200, [result(x00080018="1.2"), result(x00080018="1.1")])
    with Client(archive.url, Access()) as client:
        assert find_instances(client, FoundSeries("1", "2", "CT"), print) == ["1.1", "1.2"]


@pytest.mark.parametrize("uid", ["../../etc", "1.2/../3", "", "1" * 129, "1.2?x", "1..2", ".", "1.2\n"])
def test_what_is_no_uid_never_goes_into_an_address(archive, uid):
    assert not is_uid(uid)
    answering(archive, [result(x0020000D=uid)], [])
    series, problems = found(archive, "PatientID=7")
    assert series == []
    assert len(problems) == (uid != "1.2\n")
    assert all(request.path.startswith("/dicom-web/studies?") for request in archive.requests if uid.strip() != "1.2")


@pytest.mark.parametrize("answer", [{"a": 1}, "text", 7])
def test_an_answer_that_is_no_list_is_told(archive, answer):
    archive.will_answer(200, answer)
    with pytest.raises(ServeError, match="did not answer with a list"):
        found(archive, "PatientID=7")


@pytest.mark.parametrize(
    "answer", [[7, None, "x"], [{}], [{STUDY: 7}], [{STUDY: {"Value": {}}}], [{STUDY: {"Value": []}}]]
)
def test_results_without_a_uid_are_left_out(archive, answer):
    archive.will_answer(200, answer)
    assert found(archive, "PatientID=7")[0] == []


def test_too_wide_a_question_is_told(archive, monkeypatch):
    monkeypatch.setattr("tamperscan.serve.dicomweb.find.MOST_RESULTS", 5)
    monkeypatch.setattr("tamperscan.serve.dicomweb.find.PAGE", 3)
    answering(archive, [result(x0020000D=f"1.{number}") for number in range(8)], [])
    with pytest.raises(ServeError, match="more than 5"):
        found(archive, "PatientID=7")
