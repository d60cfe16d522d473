"""Weights whose documents are none: an error in one line that says what to do."""

from __future__ import annotations

import pytest

from tamperscan.detect.heads import COMBINATION_FILE, read_combination
from tamperscan.detect.load import find_weights
from tamperscan.detect.self_forged import FACTS_FILE, read_facts
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import WeightsError

DOCUMENTS = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"[" * 100_000,
    b'{"levels_hu": 1}',
    b"null",
    b'{"typicality_spread": [], "odds_spread": 1}',
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize(("name", "read"), [(FACTS_FILE, read_facts), (COMBINATION_FILE, read_combination)])
def test_documents_that_are_none(tmp_path, document, name, read):
    (tmp_path / name).write_bytes(document)
    packaged = find_weights("ct")
    with pytest.raises(WeightsError) as caught:
        read(Weights(tmp_path, packaged.card, ""))
    assert str(caught.value).isprintable()
