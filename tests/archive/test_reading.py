import numpy as np
import pytest
from archive_maker import find, make_series
from dicom_maker import hounsfield

import tamperscan
from tamperscan.archive.places import Place, _file_system
from tamperscan.archive.reading import pack, read_series
from tamperscan.archive.sources import parse_sources
from tamperscan.errors import ArchiveError


def test_a_series_is_read_as_by_itself(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 5, StudyDate="20240517")
    read = read_series(find(index, tmp_path / "in")[0])
    alone = tamperscan.read_scan(tmp_path / "in")
    (packed,) = read.scans
    assert packed.voxels.dtype == np.int16
    assert np.array_equal(packed.unpack().voxels, alone.voxels)
    assert packed.unpack().sha256 == alone.sha256
    assert read.month == "2024-05"


@pytest.mark.parametrize("date", ["", "nonsense", "20241317"])
def test_a_month_that_is_not_known(index, tmp_path, date):
    make_series(tmp_path / "in", "1.1", 1, StudyDate=date)
    assert read_series(find(index, tmp_path / "in")[0]).month == ""


def test_only_its_own_files_are_read(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 2)
    make_series(tmp_path / "other", "1.2", 3)
    (tmp_path / "other" / "IM0000.dcm").rename(tmp_path / "in" / "other.dcm")
    sizes = sorted(read_series(found).scans[0].voxels.shape[0] for found in find(index, tmp_path / "in"))
    assert sizes == [1, 2]


def test_what_fails_is_told_and_names_no_file(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 1)
    (found,) = find(index, tmp_path / "in")
    path = tmp_path / "in" / "IM0000.dcm"
    path.write_bytes(path.read_bytes()[:-600])
    read = read_series(found)
    assert not read.scans
    assert read.missing == 1
    assert str(tmp_path) not in read.problems[0]


def test_numpy_and_fractions(index, tmp_path):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "scan.npy", hounsfield(3).astype(np.float32) + 0.5)
    read = read_series(find(index, tmp_path / "in")[0])
    for packed in read.scans:
        assert packed.voxels.dtype == np.float32


def test_packing_keeps_every_value():
    voxels = np.array([[[-32768.0, 32767.0]]], np.float32)
    scan = tamperscan.Scan(voxels, (1.0, 1.0, 1.0), "CT", "x")
    assert np.array_equal(pack(scan).unpack().voxels, voxels)
    larger = tamperscan.Scan(voxels + 1, (1.0, 1.0, 1.0), "CT", "x")
    assert np.array_equal(pack(larger).unpack().voxels, voxels + 1)


def test_prefixes_of_an_object_store(index, tmp_path):
    from archive_maker import Read

    from tamperscan.archive.discovery import Discovery

    make_series(tmp_path / "bucket" / "ct", "1.1", 3)
    (tmp_path / "bucket" / "ct" / "junk.dcm").write_bytes(b"junk")
    (root,) = parse_sources([f"file://{tmp_path}/bucket"], []).roots
    assert root.kind == "objects"
    (found,) = Discovery(index, Read, lambda _: None).under(root)
    assert read_series(found).scans[0].voxels.shape == (3, 20, 24)
    assert [path for path, _ in index.unreadable()] == [f"file://{tmp_path}/bucket/ct/junk.dcm"]


@pytest.fixture
def bucket(monkeypatch):
    """An S3 service on this machine, and a function that puts a folder into a bucket of it."""
    moto = pytest.importorskip("moto.server", reason="needs moto, an S3 service (the extra dev)")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    _file_system.cache_clear()

    def put(folder, name):
        import boto3

        store = boto3.client("s3")
        store.create_bucket(Bucket=name)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                store.upload_file(str(path), name, str(path.relative_to(folder)))

    yield put
    server.stop()
    _file_system.cache_clear()


def test_a_bucket(index, tmp_path, bucket):
    from archive_maker import Read

    from tamperscan.archive.discovery import Discovery

    make_series(tmp_path / "in" / "ct" / "a", "1.1", 3)
    make_series(tmp_path / "in" / "ct" / "b", "1.2", 2)
    make_series(tmp_path / "in" / "mr", "1.3", 2)
    (tmp_path / "in" / "ct" / "junk.dcm").write_bytes(b"junk")
    bucket(tmp_path / "in", "scans")
    (root,) = parse_sources(["s3://scans/ct"], []).roots
    found = list(Discovery(index, Read, lambda _: None).under(root))
    read = {each.scans[0].scan.sha256 for each in map(read_series, found)}
    assert read == {tamperscan.read_scan(tmp_path / "in" / "ct" / name).sha256 for name in "ab"}
    assert [path for path, _ in index.unreadable()] == ["s3://scans/ct/junk.dcm"]
    with pytest.raises(ArchiveError, match=r"s3://nobody/ct"):
        parse_sources(["s3://nobody/ct"], [])


@pytest.mark.parametrize(
    ("sources", "query", "words"),
    [
        (["nowhere"], [], "no such folder"),
        ([__file__], [], "is a file"),
        (["file:///nowhere"], [], "nothing of that name"),
        (["odd://nowhere"], [], "can't be read"),
        (["https://pacs.example/dicom-web"], [], "--query"),
        (["."], ["Modality=CT"], "--query goes with"),
    ],
)
def test_sources_that_are_none(sources, query, words):
    with pytest.raises(ArchiveError, match=words):
        parse_sources(sources, query)


def test_folders_and_services():
    sources = parse_sources([".", "https://pacs.example/dicom-web"], ["Modality=CT"])
    assert sources.roots[0] == Place("folder", str(__import__("pathlib").Path().resolve()))
    assert sources.services == ("https://pacs.example/dicom-web",)
