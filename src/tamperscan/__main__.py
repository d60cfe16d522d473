"""Where the ``tamperscan`` command begins, and ``python -m tamperscan``, as ``accelerate launch -m`` needs it.

`tamperscan.cli.main` tells every error in plain words, once it is loaded. Here is what may go wrong before that: memory
that runs out while modules are loaded. So this module loads next to nothing itself.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from tamperscan.cli.resources import out_of_resources

_NO_RESOURCES = 3  # as `tamperscan.cli.console.UNREADABLE`, which can't be loaded here
_NO_DEBUGGING = ("", "0")


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        from tamperscan.cli.main import main as command

        command()
    except Exception as error:
        short = out_of_resources(error)
        if short is None or os.environ.get("TAMPERSCAN_DEBUG", "") not in _NO_DEBUGGING:
            raise
        print(f"Error: {short}", file=sys.stderr)
        sys.exit(_NO_RESOURCES)


if __name__ == "__main__":
    main()
