"""Where the ``tamperscan`` command begins, and ``python -m tamperscan``, as ``accelerate launch -m`` needs it.

`tamperscan.cli.main` tells every error in plain words, once it is loaded. Here is what may go wrong before that: memory
that runs out while modules are loaded. So this module loads next to nothing itself.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, NoReturn

from tamperscan.cli.resources import out_of_resources

_NO_RESOURCES = 3  # as `tamperscan.cli.console.UNREADABLE`, which can't be loaded here
_NO_DEBUGGING = ("", "0")


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    _tell_shortages_in_a_line()
    try:
        from tamperscan.cli.main import main as command

        command()
    except Exception as error:
        short = _shortage(error)
        if short is None:
            raise
        print(f"Error: {short}", file=sys.stderr)
        sys.exit(_NO_RESOURCES)


def _tell_shortages_in_a_line() -> None:
    """Tell of memory that runs out in a thread or in a finaliser, which no caller can catch, without a traceback."""
    in_threads, elsewhere = threading.excepthook, sys.unraisablehook

    def told(error: BaseException | None) -> bool:
        short = _shortage(error) if error is not None else None
        if short is not None:
            print(f"Error: {short}", file=sys.stderr)
        return short is not None

    def in_thread(found: Any) -> None:
        if not told(found.exc_value):
            in_threads(found)

    def unraisable(found: Any) -> None:
        if not told(found.exc_value):
            elsewhere(found)

    threading.excepthook, sys.unraisablehook = in_thread, unraisable


def _shortage(error: BaseException) -> str | None:
    """Say what has run out in one line; None where something else is wrong, or somebody wants to see it all."""
    return out_of_resources(error) if os.environ.get("TAMPERSCAN_DEBUG", "") in _NO_DEBUGGING else None


if __name__ == "__main__":
    main()
