import pytest
from archive_maker import find, make_series, row_of, screen
from pyarrow import parquet

from tamperscan.archive import shards
from tamperscan.archive.folder import ResultsFolder
from tamperscan.archive.index import FILE, Index
from tamperscan.errors import ArchiveError, OutputError


@pytest.fixture
def series(index, tmp_path):
    for number in range(6):
        make_series(tmp_path / "in" / str(number), f"1.{number}", 1)
    return find(index, tmp_path / "in")


def rows_in(folder):
    found = [
        row for path in folder.glob("results/*/*/*.parquet") for row in parquet.ParquetFile(path).read().to_pylist()
    ]
    return sorted(found, key=lambda row: row["key"])


def test_rows_get_into_parts(index, series, tmp_path):
    for number, one in enumerate(series):
        screen(index, one, modality="MR" if number % 2 else "CT", year=None if number == 0 else "2024")
    assert shards.write_part(tmp_path / "out", index) == 6
    assert shards.write_part(tmp_path / "out", index) == 0
    assert [row["key"] for row in rows_in(tmp_path / "out")] == sorted(one.key for one in series)
    names = {
        str(path.parent.relative_to(tmp_path / "out" / "results"))
        for path in (tmp_path / "out").rglob("part-*")
        if "results" in str(path)
    }
    assert names == {"modality=CT/year=__HIVE_DEFAULT_PARTITION__", "modality=CT/year=2024", "modality=MR/year=2024"}


def test_a_new_row_takes_the_place_of_the_old(index, series, tmp_path):
    for one in series:
        screen(index, one, "failed")
    shards.write_part(tmp_path / "out", index)
    screen(index, series[0], "clear", modality="MR")
    shards.write_part(tmp_path / "out", index)
    verdicts = [row["verdict"] for row in rows_in(tmp_path / "out")]
    assert sorted(verdicts) == ["clear", *["failed"] * 5]


class KilledError(Exception):
    """The run ends here."""


@pytest.mark.parametrize("moment", range(1, 6))
def test_killed_while_parts_are_written(index, series, tmp_path, monkeypatch, moment):
    out = tmp_path / "out"
    for one in series:
        screen(index, one, "failed")
    shards.write_part(out, index)
    for one in series[:3]:
        screen(index, one, "clear")
    calls = []

    def dies(real):
        def call(*arguments, **options):
            calls.append(real)
            if len(calls) == moment:
                raise KilledError
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(shards, "write_file", dies(shards.write_file))
    monkeypatch.setattr(Index, "mark_written", dies(Index.mark_written))
    with pytest.raises(KilledError):
        shards.write_part(out, index)
    monkeypatch.undo()
    index.close()
    with ResultsFolder(out):
        rows = rows_in(out)
    assert len(rows) == len({row["key"] for row in rows}) == 6
    assert sorted(row["verdict"] for row in rows) == ["clear"] * 3 + ["failed"] * 3


def test_a_lost_index_is_made_again(index, series, tmp_path):
    for one in series:
        screen(index, one)
    shards.write_part(tmp_path / "out", index)
    index.close()
    (tmp_path / "out" / FILE).unlink()
    with ResultsFolder(tmp_path / "out") as folder:
        assert all(folder.index.is_done(one.key, one.listing) for one in series)
        assert folder.index.next_part() == 2


def test_a_damaged_index_is_told(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(ArchiveError, match="damaged"):
        Index(tmp_path)


def test_one_run_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("tamperscan.archive.folder.PATIENCE_SECONDS", 0.1)
    with ResultsFolder(tmp_path), pytest.raises(ArchiveError, match="another run"):
        ResultsFolder(tmp_path)


def test_a_full_disk_is_told_in_one_line(index, series, tmp_path, monkeypatch):
    screen(index, series[0])
    index._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(OutputError, match="no space left"):
        index.put("1" * 32, "", *row_of(series[0], reasons=["x" * 100_000]))
    index._connection.execute("PRAGMA max_page_count = 100000")
    assert index.is_done(series[0].key, series[0].listing)
