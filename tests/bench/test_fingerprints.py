import os

from tamperscan.bench.fingerprints import fingerprint, hash_of


def test_a_fingerprint_changes_with_content_time_and_words(tmp_path):
    (tmp_path / "a").write_text("1")
    first = fingerprint(tmp_path, "word")
    assert fingerprint(tmp_path, "word") == first
    found = {
        first,
        fingerprint(tmp_path, "other"),
        fingerprint(tmp_path / "a", "word", "word"),
        fingerprint(None, "word"),
    }
    (tmp_path / "a").write_text("12")
    found.add(fingerprint(tmp_path, "word"))
    os.utime(tmp_path / "a", (1, 1))
    found.add(fingerprint(tmp_path, "word"))
    (tmp_path / "b").write_text("1")
    found.add(fingerprint(tmp_path, "word"))
    assert len(found) == 7


def test_a_hash_does_not_depend_on_the_order_of_names():
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert len(hash_of(1)) == 16
