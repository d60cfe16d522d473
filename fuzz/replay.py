"""Inputs that showed a defect, once more: ``python -m fuzz.replay TARGET FILE...`` prints how many show it still."""

from __future__ import annotations

import sys
from pathlib import Path

from fuzz.targets import TARGETS, structured


def main(target: str, files: list[str]) -> int:
    """Count the files that still make the target fail."""
    run = TARGETS[target] if target in TARGETS else structured()[target]
    failed = 0
    for file in files:
        try:
            run(Path(file).read_bytes())
        except BaseException as error:
            print(f"{file}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            failed += 1
    return failed


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2:]))
