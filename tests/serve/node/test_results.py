"""What goes out: results, once for each series, to where the rules say."""

import json
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from tamperscan.bench.node_instances import make_image, write_series
from tamperscan.scan.forged import REMARK
from tamperscan.serve.audit_check import verify
from tamperscan.serve.deliveries import result_files
from tamperscan.serve.settings import RESULT_SOP_CLASSES


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "tamperscan", "node", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def delivered(database, wait_for):
    """Wait until a series has so many revisions whose results were delivered; gives their jobs."""
    question = (
        "SELECT j.* FROM jobs j JOIN deliveries d ON d.job = j.id "
        "WHERE j.series_uid = ? AND d.state = 'done' ORDER BY revision"
    )

    def wait(series_uid, revisions=1):
        wait_for(lambda: len(database.rows(question, (series_uid,))) >= revisions)
        return database.rows(question, (series_uid,))

    return wait


@pytest.fixture(scope="module")
def screened(node, send, tmp_path_factory, database, wait_for):
    """A series that went all the way."""
    series = write_series(tmp_path_factory.mktemp("screened"), slices=4, side=32, seed=7)
    send(node.port, list(series.files.values()))
    question = "SELECT j.* FROM jobs j JOIN deliveries d ON d.job = j.id WHERE j.series_uid = ? AND d.state = 'done'"
    (job,) = wait_for(lambda: database.rows(question, (series.series_uid,)))
    return series, job


def test_results_arrive_in_the_study_of_the_images(node, archive, screened):
    series, job = screened
    sent = {str(dcmread(path).SOPInstanceUID) for path in result_files(node.home.result_folder(job["id"]))}
    assert sent <= set(archive.received)
    for uid in sent:
        assert archive.headers[uid].StudyInstanceUID == series.study_uid
        assert archive.headers[uid].SeriesInstanceUID != series.series_uid
    assert "SR" in {archive.headers[uid].Modality for uid in sent}
    assert {archive.headers[uid].SOPClassUID for uid in sent} <= set(RESULT_SOP_CLASSES)


def test_everything_is_audited(node, screened):
    series, job = screened
    lines = [json.loads(line) for line in node.home.audit_log.read_text().splitlines()]
    mine = [line for line in lines if line.get("series") == series.series_uid or line.get("job") == job["id"]]
    events = [line["event"] for line in mine]
    assert events.count("received") == 4
    assert events.count("screened") == 1
    assert "sent" in events
    assert verify(node.home.audit_log).intact


def test_a_late_image_makes_a_new_revision_that_takes_the_place_of_the_old(node, send, database, delivered, tmp_path):
    series = write_series(tmp_path / "growing", slices=5, side=32, seed=11)
    files = list(series.files.values())
    send(node.port, files[:4])
    delivered(series.series_uid)
    send(node.port, files[4:])
    first, second = delivered(series.series_uid, 2)
    (first,) = database.rows("SELECT * FROM jobs WHERE id = ?", (first["id"],))
    assert (first["revision"], first["superseded"], second["revision"], second["superseded"]) == (1, 1, 2, 0)
    assert len(list(node.home.source_folder(second["id"]).iterdir())) == 5


def test_sending_the_images_again_reports_nothing_again(node, send, database, screened, archive, wait_for):
    series, job = screened
    send(node.port, list(series.files.values()))
    question = "SELECT 1 FROM instances WHERE series_uid = ? AND state = 'duplicate'"
    wait_for(lambda: len(database.rows(question, (series.series_uid,))) >= 4)
    assert len(database.rows("SELECT 1 FROM jobs WHERE series_uid = ?", (series.series_uid,))) == 1
    for path in result_files(node.home.result_folder(job["id"])):
        assert len(archive.received[str(dcmread(path).SOPInstanceUID)]) == 1


def test_results_that_come_back_are_not_screened(node, send, database, screened, wait_for):
    _, job = screened
    files = result_files(node.home.result_folder(job["id"]))
    assert set(send(node.port, files)) == {0}
    uids = [str(dcmread(path).SOPInstanceUID) for path in files]
    question = "SELECT state, kept FROM instances WHERE sop_uid = ?"
    for uid in uids:
        wait_for(lambda uid=uid: database.row(question, (uid,))["state"] == "own")
        assert not database.row(question, (uid,))["kept"]


def test_results_of_forged_images_are_not_sent(node, send, database, archive, tmp_path, wait_for):
    study, series = generate_uid(), generate_uid()
    files = []
    for index in range(3):
        image = make_image(study, series, generate_uid(), index=index, side=32, generator=np.random.default_rng(index))
        image.SeriesDescription = f"{REMARK}: nodule"
        files.append(tmp_path / f"{index}.dcm")
        image.save_as(files[-1], enforce_file_format=True)
    send(node.port, files)
    question = "SELECT id FROM jobs WHERE series_uid = ? AND state = 'done' AND planned = 1"
    (job,) = wait_for(lambda: database.rows(question, (series,)))
    assert not database.rows("SELECT 1 FROM deliveries WHERE job = ?", (job["id"],))
    assert study not in {str(one.StudyInstanceUID) for one in archive.headers.values()}


def test_health_and_metrics(node, screened):
    with urlopen(f"http://127.0.0.1:{node.metrics_port}/health") as answer:
        assert json.load(answer)["status"] == "ok"
    with urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    assert 'tamperscan_jobs{state="done"}' in text
    assert 'tamperscan_deliveries{destination="archive",state="done"}' in text
    with pytest.raises(HTTPError):
        urlopen(f"http://127.0.0.1:{node.metrics_port}/etc/passwd")


def test_status_tells_what_is_so(node, screened):
    outcome = command("status", "--home", node.home.root, "--json")
    status = json.loads(outcome.stdout)
    assert status["running"] is True
    assert status["jobs"]["done"] >= 1
    assert "Node: running" in command("status", "--home", node.home.root).stdout


def test_retry_of_no_dead_letter_is_told(node, screened):
    _, job = screened
    outcome = command("retry", job["id"], "--home", node.home.root)
    assert outcome.returncode == 3
    assert "no dead letter" in outcome.stderr


def test_a_second_node_on_the_same_home_is_refused(node):
    outcome = command("--rules", node.rules, "--home", node.home.root)
    assert outcome.returncode == 3
    assert "a node runs on it" in outcome.stderr


def commitment_request(*instances):
    from pydicom.dataset import Dataset

    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for sop_class, uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        request.ReferencedSOPSequence.append(item)
    return request


def test_storage_commitment_reports_what_is_kept_and_what_is_not(node, screened, wait_for):
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

    series, _ = screened
    missing = generate_uid()
    known = [("1.2.840.10008.5.1.4.1.1.2", uid) for uid in series.files]
    reports = []

    def take(event):
        reports.append((event.event_type, event.event_information))
        return 0, None

    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    association = entity.associate("127.0.0.1", node.port, ae_title="TAMPERSCAN", evt_handlers=handlers)
    for request in (commitment_request(*known), commitment_request(*known, ("1.2.840.10008.5.1.4.1.1.2", missing))):
        status, _ = association.send_n_action(
            request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert status.Status == 0
    wait_for(lambda: len(reports) == 2)
    association.release()
    (all_kept, first), (some_failed, second) = reports
    assert (all_kept, some_failed) == (1, 2)
    assert [item.ReferencedSOPInstanceUID for item in first.ReferencedSOPSequence] == list(series.files)
    assert [item.ReferencedSOPInstanceUID for item in second.FailedSOPSequence] == [missing]
    assert second.FailedSOPSequence[0].FailureReason == 0x0112


def test_drain_finishes_what_is_there_and_ends(node, send, archive, tmp_path, wait_for, database):
    """The last test: the node is gone after it."""
    series = write_series(tmp_path / "last", slices=3, side=32, seed=13)
    send(node.port, list(series.files.values()))
    outcome = command("drain", "--home", node.home.root, "--timeout", "60")
    assert outcome.returncode == 0, outcome.stderr
    (job,) = database.rows("SELECT * FROM jobs WHERE series_uid = ?", (series.series_uid,))
    assert job["state"] == "done"
    assert series.study_uid in {str(one.StudyInstanceUID) for one in archive.headers.values()}
    assert command("drain", "--home", node.home.root).returncode == 3
    assert not list(node.home.spool.glob(".*.part"))
