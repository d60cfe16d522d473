"""JSON of unknown origin."""

from __future__ import annotations

import json
from typing import Any


def parse_json(content: str | bytes) -> Any:
    """Parse JSON.

    Parameters
    ----------
    content
        Text, or its bytes in UTF-8.

    Raises
    ------
    ValueError
        If it is none; also where it is nested so deep that `json` would run out of stack.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
