from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tamperscan.scan.names import Namer, safe_name


@given(st.text())
def test_names_are_safe(text):
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", safe_name(text))


@given(st.lists(st.text(alphabet="aAb/.", max_size=4), max_size=30))
def test_names_are_given_once(texts):
    namer = Namer()
    names = [namer.name(text).lower() for text in texts]
    assert len(set(names)) == len(names)


def test_long_names_keep_their_number():
    namer = Namer()
    names = [namer.name("x" * 100) for _ in range(12)]
    assert len(set(names)) == 12
    assert max(map(len, names)) == 64
