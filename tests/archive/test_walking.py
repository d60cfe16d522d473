import sys

from tamperscan.archive.places import Place
from tamperscan.archive.walking import BATCH, count_files, look_at, walk


def place(path):
    return Place("folder", str(path))


def walked(path):
    problems = []
    return {folder.place.where: folder for folder in walk(place(path), problems.append)}, problems


def test_folders_with_files_of_their_own(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "b" / "1.dcm").touch()
    found, problems = walked(tmp_path)
    assert {path: folder.files for path, folder in found.items() if folder.files} == {str(tmp_path / "a" / "b"): 1}
    assert not problems


def test_names_come_in_batches(tmp_path):
    for number in range(BATCH + 3):
        (tmp_path / f"{number}.dcm").touch()
    sizes = [len(names) for names in look_at(place(tmp_path), print).batches()]
    assert sizes == [BATCH, 3]


def test_links_to_folders_are_told_and_not_followed(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "1.dcm").touch()
    found, problems = walked(tmp_path)
    assert len(found) == 1
    assert "link to a folder" in problems[0].problem


def test_hidden_files_are_left_out(tmp_path):
    for name in (".hidden", "__MACOSX"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.dcm").touch()
    assert [folder.files for folder in walked(tmp_path)[0].values()] == [0]


def test_signature_tells_changes(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"one")
    before = look_at(place(tmp_path), print).signature
    assert look_at(place(tmp_path), print).signature == before
    (tmp_path / "2.dcm").touch()
    assert look_at(place(tmp_path), print).signature != before


def test_deep_folders_need_no_recursion(tmp_path):
    here, limit = tmp_path, sys.getrecursionlimit()
    for _ in range(400):
        here = here / "d"
        here.mkdir()
    (here / "1.dcm").touch()
    sys.setrecursionlimit(300)
    try:
        found, _ = walked(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert len(found) == 401
    assert sum(count_files(place(tmp_path))) == 1


def test_a_folder_that_may_not_be_listed(tmp_path):
    found, problems = walked(tmp_path / "gone")
    assert [folder.files for folder in found.values()] == [0]
    assert "does not exist" in problems[0].problem
