import errno
import os
import re
import signal
import stat
import subprocess
import sys

import pytest

from tamperscan import abandoned
from tamperscan.errors import OutputError
from tamperscan.files import add_line, copy_file, make_folder, new_file, scratch_file, write_file

as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@as_root
def test_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write here"):
        make_folder(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "no permission to write here"),
        (errno.EROFS, "no permission to write here"),
        (errno.ENOSPC, "no space left to write"),
        (errno.ENAMETOOLONG, "the name is too long"),
        (errno.EIO, "can't be written (Input/output error)"),
    ],
)
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, code, words):
    def fail(_):
        raise OSError(code, os.strerror(code))

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=re.escape(words)):
        write_file(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").write_text("")
    write_file(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def break_off(path):
    with new_file(path) as file:
        file.write(b"new")
        raise KeyError


def test_an_error_in_the_middle_of_a_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        break_off(path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_a_scratch_file_leaves_nothing_behind(tmp_path):
    with scratch_file(tmp_path) as file:
        file.write(b"much")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="nowhere"), scratch_file(tmp_path / "nowhere"):
        pass


def test_a_full_disk_is_told_in_one_line_whoever_wrote(tmp_path):
    def wrapped():  # as pydicom does
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise type(error)(f"With tag got exception: {error}\nTraceback (most recent call last):\n  File") from error

    with pytest.raises(OutputError, match="no space left to write") as told, new_file(tmp_path / "a.dcm"):
        wrapped()
    assert "\n" not in str(told.value)
    assert names(tmp_path) == []


def test_lines_are_added_and_a_torn_one_goes(tmp_path):
    path = tmp_path / "loss.csv"
    add_line(path, "1,0.5")
    with path.open("ab") as file:
        file.write(b"2,0.")  # a kill
    add_line(path, "2,0.4")
    assert path.read_text() == "1,0.5\n2,0.4\n"


def test_a_torn_line_longer_than_a_page_goes(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"first\n" + b"x" * 10_000)
    add_line(path, "second")
    assert path.read_text() == "first\nsecond\n"


def test_a_line_where_there_is_no_folder(tmp_path):
    with pytest.raises(OutputError, match="lines"):
        add_line(tmp_path / "none" / "lines", "first")


def test_copy(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    copy_file(tmp_path / "a", tmp_path / "b")
    copy_file(tmp_path / "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"content"
    assert names(tmp_path) == ["a", "b"]


def test_the_name_is_on_the_disk_after_the_content(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda file: order.append(stat.S_ISDIR(os.fstat(file).st_mode)))
    write_file(tmp_path / "a", b"content")
    assert order == [False, True]


WRITER = """
import sys
from pathlib import Path
from tamperscan.files import new_file
with new_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def writing_process(path):
    """Begin to write a file in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_the_next_run_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    (tmp_path / ".mine.tmp").write_text("a user's own")
    killed, living = writing_process(tmp_path / "a.txt"), writing_process(tmp_path / "b.txt")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(names(tmp_path)) == 3
    abandoned._tidied.discard(str(tmp_path))
    write_file(tmp_path / "a.txt", b"new")
    assert [name for name in names(tmp_path) if name.startswith(".a.txt")] == []
    assert len([name for name in names(tmp_path) if name.startswith(".b.txt")]) == 1
    living.communicate("")
    assert living.returncode == 0
    assert names(tmp_path) == [".mine.tmp", "a.txt", "b.txt"]
    assert (tmp_path / "b.txt").read_bytes() == b"half"


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_folders_that_nobody_owns_are_removed(tmp_path):
    left, held = tmp_path / abandoned.temporary_name(), tmp_path / abandoned.temporary_name()
    for folder in (left, held):
        folder.mkdir()
        (folder / "part").write_text("half")
    with abandoned.owned(held) as there:
        assert there
        abandoned.remove_abandoned(tmp_path, folders=True)
        assert names(tmp_path) == [held.name]
    abandoned.remove_abandoned(tmp_path, folders=True)
    assert names(tmp_path) == []
