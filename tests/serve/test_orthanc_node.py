"""A node beside a real Orthanc: studies go there by C-STORE, results come back into the right study."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from orthanc import AE_TITLE, free_port, missing_parts, running_orthanc, storescu
from pydicom import dcmread

from tamperscan.data import packaged_weights, sample_path
from tamperscan.serve import audit_check
from tamperscan.serve.audit_check import read_lines
from tamperscan.serve.compare import State, StudyDigests
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.copies import fetched_copies
from tamperscan.serve.dicomweb.find import find_series
from tamperscan.serve.dicomweb.pull import pull_series
from tamperscan.serve.dicomweb.queueing import HomeIntake
from tamperscan.serve.home import Home

REAL_SCANS = Path(__file__).parents[2] / ".." / "shared" / "data"
LUNGS = REAL_SCANS / "ct" / "series" / "LIDC-IDRI-0001_STANDARD"
CTGAN = REAL_SCANS / "ctgan" / "1565_323.dcm"
TAMPERED = CTGAN if CTGAN.exists() else sample_path()
LUA = Path(__file__).parents[2] / "docker" / "route.lua"

pytestmark = [
    pytest.mark.skipif(bool(missing_parts()), reason=missing_parts()),
    pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights"),
]

RULES = """
node: {{ae_title: TAMPERSCAN, port: {node_port}, metrics_port: 0, receivers: 1}}
quiet: {{seconds: 1, of: series}}
destinations:
  by-store: {{kind: dicom, host: 127.0.0.1, port: {dicom_port}, ae_title: ORTHANC}}
  by-stow: {{kind: stow, url: "{dicomweb}"}}
rules:
  - {{name: from-orthanc, when: {{modality: CT, sender: ORTHANC}}, send_to: by-store}}
  - {{name: from-scanners, when: {{modality: CT}}, send_to: by-stow}}
"""


@contextlib.contextmanager
def running_node(folder, orthanc, port):
    """A node in a process of its own, ended by its process id."""
    folder.mkdir()
    rules = {"node_port": port, "dicom_port": orthanc.dicom_port, "dicomweb": orthanc.dicomweb}
    (folder / "node.yaml").write_text(RULES.format(**rules))
    command = [sys.executable, "-m", "tamperscan", "node", "--rules", "node.yaml", "--home", "home"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "node.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        end = time.monotonic() + 60
        while "listens on" not in (folder / "node.log").read_text():
            assert process.poll() is None, (folder / "node.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield folder / "home"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def lungs(tmp_path_factory):
    """Four slices of a real series; on a machine without one, of the packaged slice."""
    files = sorted(LUNGS.glob("*.dcm"))
    if files:
        return files[len(files) // 2 - 2 : len(files) // 2 + 2]
    return [sample_as_slice(tmp_path_factory.mktemp("series") / f"{number}.dcm", number) for number in range(4)]


def sample_as_slice(path, number):
    image = dcmread(sample_path())
    image.StudyInstanceUID, image.SeriesInstanceUID, image.PatientID = "1.2.826.0.1.9", "1.2.826.0.1.9.1", "nobody"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.9.1.{number}"
    image.ImagePositionPatient, image.InstanceNumber = [0, 0, 2.0 * number], number
    image.save_as(path)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A node and an Orthanc that know each other."""
    folder = tmp_path_factory.mktemp("both")
    port = free_port()
    script = {"LuaScripts": [str(LUA)]}
    with (
        running_orthanc(folder / "orthanc", modalities={"tamperscan": ("TAMPERSCAN", port)}, **script) as orthanc,
        running_node(folder / "node", orthanc, port) as home,
    ):
        yield orthanc, home, port


def uid(file, keyword="StudyInstanceUID"):
    return str(dcmread(file, stop_before_pixels=True)[keyword].value)


def results_of(orthanc, study, seconds=120):
    """Wait until a study has a report and stays as it is; give the modalities of its series."""
    end, before = time.monotonic() + seconds, None
    while True:
        series = orthanc.qido(f"/studies/{study}/series", includefield="Modality")
        found = sorted(one["00080060"]["Value"][0] for one in series)
        if "SR" in found and found == before:
            return found
        assert time.monotonic() < end, found
        before = found
        time.sleep(1)


def routed(orthanc):
    """How often Orthanc's script has sent a series."""
    return sum(job["State"] == "Success" for job in orthanc.get("/jobs", expand=""))


def wait_until(so, seconds=60):
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end
        time.sleep(0.2)


def audited(home, event, study):
    return [line for line in read_lines(home / "audit.jsonl") if (line["event"], line.get("study")) == (event, study)]


def test_a_series_goes_from_orthanc_to_the_node_and_results_come_back_by_store(both, lungs):
    orthanc, home, _ = both
    orthanc.send(*lungs)
    found = results_of(orthanc, uid(lungs[0]))  # Orthanc's own script routes it: nobody asks it to
    assert "SR" in found
    assert len(orthanc.find("Study", StudyInstanceUID=uid(lungs[0]))) == 1
    assert {line["receiver"] for line in audited(home, "sent", uid(lungs[0]))} == {"by-store"}
    assert {line["sender"] for line in audited(home, "received", uid(lungs[0]))} == {AE_TITLE}


def test_a_tampered_slice_is_reported_by_stow_into_its_study(both):
    orthanc, home, port = both
    study = uid(TAMPERED)
    storescu("127.0.0.1", port, "TAMPERSCAN", TAMPERED)
    assert {"SR", "SEG"} <= set(results_of(orthanc, study))
    (screened,) = audited(home, "screened", study)
    assert screened["verdict"] == "suspicious"
    assert {line["receiver"] for line in audited(home, "sent", study)} == {"by-stow"}
    orthanc.send(TAMPERED)  # whose script sends it to the node once more, which has reported on it
    wait_until(lambda: routed(orthanc) == 2)
    found = results_of(orthanc, study)
    assert {"CT", "SR", "SEG"} <= set(found)
    assert found.count("SR") == 1
    assert len(orthanc.find("Study", StudyInstanceUID=study)) == 1


def test_a_pulled_slice_is_screened_and_its_results_come_back_by_stow(tmp_path):
    with running_orthanc(tmp_path / "orthanc") as orthanc:  # which sends nothing by itself
        orthanc.send(TAMPERED)
        with running_node(tmp_path / "node", orthanc, free_port()) as home:
            with Client(orthanc.dicomweb, Access()) as client:
                intake = HomeIntake(Home(home), client.host, "from-scanners")
                (found,) = find_series(client, {"PatientID": uid(TAMPERED, "PatientID")}, print)
                intake.queue(pull_series(client, found, intake.folder, arrived=intake.arrived))
            assert {"CT", "SR", "SEG"} <= set(results_of(orthanc, uid(TAMPERED)))
            assert {line["receiver"] for line in audited(home, "sent", uid(TAMPERED))} == {"by-stow"}


def test_orthanc_sends_to_its_modality_by_rest_and_nothing_is_reported_twice(both, lungs):
    orthanc, home, _ = both
    study = uid(lungs[0])
    before = len(audited(home, "screened", study))
    (found,) = orthanc.find("Study", StudyInstanceUID=study)
    orthanc.post("/modalities/tamperscan/echo", {})
    series = [one["ID"] for one in orthanc.find("Series", StudyInstanceUID=study, Modality="CT")]
    sent = orthanc.post("/modalities/tamperscan/store", {"Resources": series, "Synchronous": True})
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(lungs), 0)
    time.sleep(3)  # longer than the node waits until a series is quiet
    assert len(audited(home, "screened", study)) == before
    assert orthanc.find("Study", StudyInstanceUID=study)[0]["Series"] == found["Series"]


def test_what_orthanc_holds_is_what_arrived_and_our_results(both, lungs):
    orthanc, home, _ = both
    with Client(orthanc.dicomweb, Access()) as client:
        copies = fetched_copies(client, uid(lungs[0]), {}, print)
        found = Counter(one.state for one in StudyDigests(home / "audit.jsonl", uid(lungs[0])).compare(copies))
    assert found[State.UNCHANGED] == len(lungs)
    assert found[State.OWN] >= 4
    assert set(found) == {State.UNCHANGED, State.OWN}


def test_the_audit_trail_of_both_is_intact_and_names_no_patient(both, lungs):
    _, home, _ = both
    check = audit_check.verify(home / "audit.jsonl")
    assert check.intact, check.problems
    text = (home / "audit.jsonl").read_text()
    assert uid(lungs[0], "PatientID") not in text
    assert all(json.loads(line) for line in text.splitlines())
