"""The process that reads: everything in a file of unknown origin is parsed and decoded here, within limits.

`tamperscan.scan.isolated` starts it, and asks it for the plan of a path and then for one scan after the other.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import traceback
import warnings
from contextlib import ExitStack, suppress
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from typing import Any

from tamperscan.errors import ScanError, TamperscanError
from tamperscan.scan import watch
from tamperscan.scan.channel import Channel, ChannelError
from tamperscan.scan.handover import facts_of, share
from tamperscan.scan.limits import Limits, is_shortage, keep_to, too_large
from tamperscan.scan.planning import PlanHere


class Reader:
    """Answers what it is asked.

    Parameters
    ----------
    channel
        Leads to the one who asks.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._opened = ExitStack()
        self._plan: PlanHere | None = None
        watch.listen(self._tell_file)

    def serve(self) -> None:
        """Answer requests until there are no more."""
        while True:
            try:
                request = self._channel.receive()
            except ChannelError:
                return
            self._tell(self._answer(request))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "build" in request:
            return self._build(request["build"], request["name"])
        if "call" in request:
            return self._call(request)
        self._plan = None
        self._opened.close()
        return self._found(request) if "plan" in request else {"ended": True}

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a function of this package."""
        module, name = request["call"]
        watch.reading(request["label"], watch.HEADERS)
        try:
            return {"returned": getattr(import_module(module), name)(*request["arguments"])}
        except ScanError as error:
            return _failed(error)
        except Exception as error:
            return _failed(_unforeseen(request["label"], error))
        finally:
            watch.idle()

    def _found(self, request: dict[str, Any]) -> dict[str, Any]:
        """Plan; what ended an earlier reader is refused."""
        watch.refuse({(label, stage): ScanError(*told) for label, stage, *told in request["refused"]})
        try:
            if request["folder"]:
                os.chdir(request["folder"])
            self._plan = PlanHere(Path(request["plan"]), self._opened, self._report)
        except ScanError as error:
            return _failed(error)
        except Exception as error:  # one odd file must not end a run over many
            return _failed(_unforeseen(request["plan"], error))
        return {"found": [[found.hint, [astuple(place) for place in found.places]] for found in self._plan.found]}

    def _build(self, number: int, name: str) -> dict[str, Any]:
        scan = None if self._plan is None else self._plan.build(number, name)
        if scan is None:
            return {"scan": None}
        file = share(scan.voxels)
        try:
            self._tell({"scan": facts_of(scan)}, file)
        finally:
            os.close(file)
        return {}

    def _report(self, error: ScanError) -> None:
        self._tell({"error": [error.path, error.problem, error.advice]})

    def _tell_file(self, key: watch.Key | None) -> None:
        self._tell({"at": [threading.get_ident(), *(key or ())]})

    def _tell(self, message: dict[str, Any], file: int | None = None) -> None:
        """Send; without one who listens, there is nothing left to do."""
        if not message:
            return
        try:
            self._channel.send(message, file)
        except ChannelError:
            os._exit(0)


def _failed(error: ScanError) -> dict[str, Any]:
    return {"failed": [error.path, error.problem, error.advice]}


def _unforeseen(label: str, error: Exception) -> ScanError:
    if is_shortage(error):
        return too_large(label)
    if isinstance(error, TamperscanError):
        return ScanError(label, str(error).rstrip("."), "Then try again")
    traceback.print_exception(error)  # nobody sees it but who asked for it with TAMPERSCAN_DEBUG
    problem = f"can't be read, for a reason that was not foreseen ({type(error).__name__}: {error})"
    return ScanError(label, problem, "Please report this, with the file if you may")


def main() -> None:
    """Serve one who started this process with a socket's number and limits as its arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to the parent too, which ends this one
    warnings.simplefilter("ignore")
    connection, wanted = sys.argv[2:4]
    keep_to(Limits(**json.loads(wanted)))
    with suppress(OSError):  # where memory runs out all the same, Linux ends this process before others
        Path("/proc/self/oom_score_adj").write_text("500")
    Reader(Channel(socket.socket(fileno=int(connection)))).serve()


if __name__ == "__main__":
    main()
