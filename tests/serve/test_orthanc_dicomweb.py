"""Pull, push and compare with a real Orthanc on this machine."""

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import write_slice
from orthanc import missing_parts, running_orthanc
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from tamperscan.errors import ServeError
from tamperscan.scan import read_scan
from tamperscan.scan.places import Place
from tamperscan.serve import audit_check
from tamperscan.serve.audit_check import read_lines
from tamperscan.serve.compare import State, StudyDigests
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.copies import fetched_copies
from tamperscan.serve.dicomweb.find import find_series, read_query
from tamperscan.serve.dicomweb.pull import pull_series
from tamperscan.serve.dicomweb.push import stow
from tamperscan.serve.dicomweb.queueing import HomeIntake
from tamperscan.serve.home import Home
from tamperscan.serve.pixel_digest import stored_digest
from tamperscan.serve.queue import Queue

pytestmark = pytest.mark.skipif(bool(missing_parts()), reason=missing_parts())

STUDY, SERIES = "1.2.826.0.1.7", "1.2.826.0.1.7.1"
NAMES = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "PatientID": "seven", "StudyDate": "20260102"}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("slices")
    return [
        write_slice(
            folder / f"{number}.dcm",
            rng.integers(-1000, 1000, (64, 64), dtype=np.int16),
            SOPInstanceUID=f"{SERIES}.{number}",
            ImagePositionPatient=[0, 0, 2 * number],
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
            **NAMES,
        )
        for number in range(4)
    ]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, slices):
    """An Orthanc that holds the series, for tests that change nothing in it."""
    with running_orthanc(tmp_path_factory.mktemp("untouched") / "orthanc") as started:
        started.send(*slices)
        yield started


@pytest.fixture
def pacs(tmp_path, slices):
    """An Orthanc that holds the series."""
    with running_orthanc(tmp_path / "orthanc", OverwriteInstances=True) as started:
        started.send(*slices)
        yield started


def pulled(archive, out, query="PatientID=seven", **options):
    problems = []
    with Client(archive.dicomweb, Access(attempts=1)) as client:
        found = list(find_series(client, read_query([query]), problems.append))
        return [pull_series(client, one, out, **options) for one in found]


@pytest.fixture
def home(tmp_path, untouched):
    """A home that pulled the series from Orthanc."""
    made = Home(tmp_path / "home")
    intake = HomeIntake(made, "pacs")
    (series,) = pulled(untouched, intake.folder, arrived=intake.arrived)
    intake.queue(series)
    return made


def compared(home, archive):
    failed, problems = {}, []
    with Client(archive.dicomweb, Access(attempts=1)) as client:
        digests = StudyDigests(home.audit_log, STUDY)
        results = list(digests.compare(fetched_copies(client, STUDY, failed, problems.append), failed))
    assert not problems
    return {one.instance: one for one in results}


def in_orthanc(archive, number):
    return archive.find("Instance", SOPInstanceUID=f"{SERIES}.{number}")[0]["ID"]


def test_what_is_pulled_is_what_was_sent(untouched, slices, tmp_path):
    (series,) = pulled(untouched, tmp_path / "out")
    assert (series.instances, series.fetched, series.whole, series.modality) == (4, 4, True, "CT")
    files = sorted(series.folder.glob("*.dcm"))
    assert sorted(map(stored_digest, files)) == sorted(map(stored_digest, slices))
    assert read_scan(series.folder).shape == (4, 64, 64)


def test_a_second_pull_fetches_only_what_is_new(pacs, slices, tmp_path):
    pulled(pacs, tmp_path / "out")
    later = shutil.copy(slices[0], tmp_path / "later.dcm")
    image = dcmread(later)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.9"
    image.save_as(later)
    pacs.send(Path(later))
    assert pulled(pacs, tmp_path / "out")[0].fetched == 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("PatientID=seven&Modality=CT", 1),
        ("StudyDate=20260101-20260131", 1),
        (f"SeriesInstanceUID={SERIES}", 1),
        (f"StudyInstanceUID={STUDY}", 1),
        ("PatientID=seven&Modality=MR", 0),
        ("StudyDate=20250101-20250131", 0),
        ("PatientID=eight", 0),
    ],
)
def test_queries_find_what_they_ask_for(untouched, tmp_path, query, count):
    assert len(pulled(untouched, tmp_path / "out", query)) == count


def test_a_pulled_series_is_queued_once_and_audited(home, untouched):
    intake = HomeIntake(home, "pacs")
    (series,) = pulled(untouched, intake.folder, arrived=intake.arrived)
    intake.queue(series)
    (job,) = Queue(home).jobs()
    assert (job.origin, job.model, job.study_uid, job.state) == ("pull", "ct", STUDY, "queued")
    assert read_scan(job.source).shape == (4, 64, 64)
    lines = [line for line in read_lines(home.audit_log) if line["event"] == "received"]
    assert sorted(line["instance"] for line in lines) == [f"{SERIES}.{number}" for number in range(4)]
    assert audit_check.verify(home.audit_log).intact


def test_results_are_stored_in_the_right_study_once(pacs, tmp_path):
    report = dcmread(write_slice(tmp_path / "result.dcm", **NAMES))
    report.Modality, report.SeriesInstanceUID, report.SOPInstanceUID = "OT", f"{STUDY}.2", f"{STUDY}.2.1"
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.save_as(tmp_path / "result.dcm")
    for _ in range(2):
        assert [one.problem for one in stow(pacs.dicomweb, [tmp_path / "result.dcm"], access=Access())] == [""]
    series = pacs.qido(f"/studies/{STUDY}/series", Modality="OT")
    assert [one["0020000E"]["Value"] for one in series] == [[f"{STUDY}.2"]]
    assert len(pacs.qido(f"/studies/{STUDY}/instances")) == 5


def test_an_untouched_archive_is_unchanged(home, untouched):
    assert {one.state for one in compared(home, untouched).values()} == {State.UNCHANGED}


def test_pixels_changed_in_the_archive_are_found(home, pacs, slices):
    image = dcmread(slices[1])
    pixels = image.pixel_array.copy()
    pixels[30:34, 30:34] += 50
    image.PixelData = pixels.tobytes()
    image.save_as(pacs.folder / "changed.dcm")
    pacs.post("/instances", (pacs.folder / "changed.dcm").read_bytes())
    found = compared(home, pacs)
    assert [one.instance for one in found.values() if one.state is State.CHANGED] == [f"{SERIES}.1"]


def test_compression_by_the_archive_is_no_change(home, slices, tmp_path):
    with running_orthanc(tmp_path / "packing", IngestTranscoding=str(JPEGLSLossless)) as packing:
        packing.send(*slices)
        found = compared(home, packing)
    assert {one.state for one in found.values()} == {State.UNCHANGED}
    assert all("JPEG-LS" in one.note for one in found.values())


def test_images_missing_from_the_archive_and_new_ones_are_told(home, pacs, slices):
    with pacs.client as client:
        client.delete(f"/instances/{in_orthanc(pacs, 2)}").raise_for_status()
    image = dcmread(slices[0])
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.8"
    image.save_as(pacs.folder / "new.dcm")
    pacs.post("/instances", (pacs.folder / "new.dcm").read_bytes())
    found = compared(home, pacs)
    assert found[f"{SERIES}.2"].state is State.MISSING
    assert found[f"{SERIES}.8"].state is State.NEW


def test_a_study_that_the_archive_lost_is_missing_as_a_whole(home, tmp_path):
    with running_orthanc(tmp_path / "empty") as empty:
        assert {one.state for one in compared(home, empty).values()} == {State.MISSING}


def test_a_folder_can_be_compared_too(home, slices):
    results = StudyDigests(home.audit_log, STUDY).compare(Place(str(path)) for path in slices)
    assert {one.state for one in results} == {State.UNCHANGED}


def test_an_archive_with_a_password(tmp_path, slices):
    settings = {"AuthenticationEnabled": True, "RegisteredUsers": {"node": "secret"}}
    with running_orthanc(tmp_path / "locked", **settings) as locked:
        with Client(locked.dicomweb, Access()) as client, pytest.raises(ServeError, match="other credentials"):
            client.get_json("/studies", {})
        access = Access(user="node", password="secret")
        assert [one.problem for one in stow(locked.dicomweb, slices[:1], access=access)] == [""]
        with Client(locked.dicomweb, access) as client:
            assert len(client.get_json("/studies", {})) == 1
        token = base64.b64encode(b"node:secret").decode()
        assert token not in locked.log()
