"""Reading in another process, with limits: what a file does there, it does not do here.

Where a system can't hand memory to another process (Windows), files are read in this one: then only the limits on sizes
hold, not those on memory and time.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from tamperscan.errors import ScanError
from tamperscan.scan.channel import ChannelError
from tamperscan.scan.limits import DEFAULT, Limits
from tamperscan.scan.places import Found, Place, Plan, Report
from tamperscan.scan.processes import Process, ReaderLostError, idle
from tamperscan.scan.volume import Scan

POSSIBLE: Final = hasattr(socket, "recv_fds")
"""Whether this system can hand memory to another process."""

_ADVICE: Final = "It is damaged, or made to do harm; export it again from the archive, or leave it out"
_Done = TypeVar("_Done")


def prepare(limits: Limits = DEFAULT) -> None:
    """Have a process ready: one takes half a second to start, while the caller may load what it screens with.

    Parameters
    ----------
    limits
        Those that will be asked for.
    """
    if POSSIBLE:
        with contextlib.suppress(OSError):  # whoever needs it tells that there is none
            idle.prepare(limits)


def call(module: str, function: str, *arguments: Any, label: str, limits: Limits = DEFAULT) -> Any:
    """Call a function of this package in a reader's process, in this one where there can be no other.

    Parameters
    ----------
    module, function
        Its names. What it takes and gives must fit into JSON.
    arguments
        What it takes.
    label
        The file that it is about.
    limits
        What it may take; its time counts anew with every file that it reads.

    Raises
    ------
    ScanError
        If the function raises one, or goes over a limit.
    """
    if not POSSIBLE:
        return getattr(import_module(module), function)(*arguments)
    request = {"call": [module, function], "arguments": arguments, "label": label}
    try:
        answer = _answer_to(request, label, limits)
    except ReaderLostError as lost:
        if lost.hung:
            raise ScanError(*_blame(lost, label)) from None
        try:  # something from outside may have ended it
            answer = _answer_to(request, label, limits)
        except ReaderLostError as again:
            raise ScanError(*_blame(again, label)) from None
    if "failed" in answer:
        raise ScanError(*answer["failed"])
    return answer["returned"]


def _answer_to(request: dict[str, Any], label: str, limits: Limits) -> dict[str, Any]:
    process = _taken(label, limits)
    try:
        process.ask(request)
        while not {"returned", "failed"} & (answer := process.answer()).keys():
            pass
    except BaseException:
        process.end()
        raise
    process.settle()
    idle.give(process)
    return answer


def _blame(lost: ReaderLostError, label: str) -> tuple[str, str, str]:
    return label if lost.file is None else lost.file[0], lost.problem, _ADVICE


def _taken(label: str | Path, limits: Limits) -> Process:
    """Give a process; raises ScanError."""
    try:
        return idle.take(limits)
    except OSError as error:
        problem = f"can't be read, since no process can be started for it ({error.strerror or error})"
        raise ScanError(label, problem, "Check the limits of this machine and try again") from error


def plan(path: Path, report: Report, limits: Limits) -> AbstractContextManager[Plan]:
    """Plan a path, in another process where that is possible.

    Parameters
    ----------
    path
        A file, a folder, a zip or a DICOMDIR.
    report
        Is told of everything that can't be read.
    limits
        What reading may take.

    Raises
    ------
    ScanError
        If ``path`` itself can't be read.
    """
    if POSSIBLE:
        return _plan_apart(path, report, limits)
    from tamperscan.scan.planning import plan_here

    return plan_here(path, report)


@contextmanager
def _plan_apart(path: Path, report: Report, limits: Limits) -> Iterator[Plan]:
    plan = PlanApart(path, report, limits)
    try:
        plan.start()
        yield plan
    finally:
        plan.close()


class PlanApart:
    """The volumes under a path, read in another process.

    Parameters
    ----------
    path, report, limits
        As for `plan`.
    """

    def __init__(self, path: Path, report: Report, limits: Limits) -> None:
        self._path, self._tell, self._limits = path, report, limits
        self._told: set[tuple[str, ...]] = set()
        self._refused: list[list[str]] = []
        self._suspects: set[tuple[str, str]] = set()
        self._process: Process | None = None
        self._busy = False
        self.found: Sequence[Found] = ()

    def start(self) -> None:
        """Find the volumes; raises ScanError."""
        self.found = self._trying(self._plan)

    def build(self, number: int, name: str) -> Scan | None:
        """Decode a volume; None where that fails, after telling why."""
        try:
            return self._trying(lambda process: self._build(process, number, name))
        except ScanError as error:
            self._report([error.path, error.problem, error.advice])
            return None

    def close(self) -> None:
        """Give the process back; one that is in the midst of something is ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if not self._busy:
            with contextlib.suppress(ReaderLostError):
                process.ask({"end": True})
                process.answer()
                idle.give(process)
                return
        process.end()

    def _trying(self, work: Callable[[Process], _Done]) -> _Done:
        """Work with a process, and with another one, without the file that ended it, where it ends."""
        for _ in range(self._limits.restarts + 1):
            self._busy = True
            try:
                if self._process is None:
                    self._process = _taken(self._path, self._limits)
                    if self.found:
                        self._plan(self._process)
                done = work(self._process)
                self._process.settle()
                self._busy = False
                return done
            except ReaderLostError as lost:
                self._process, self._busy = None, False
                self._suspect(lost)
        problem = f"ended the process that read it more than {self._limits.restarts} times"
        raise ScanError(self._path, problem, "Read its files one by one, to find those that are damaged")

    def _suspect(self, lost: ReaderLostError) -> None:
        """Have a file refused that hung, or that ended two processes: the first may have been ended from outside."""
        if lost.file is None:
            return
        label, stage = lost.file
        if lost.hung or lost.file in self._suspects:
            self._refused.append([label, stage, label, lost.problem, _ADVICE])
        self._suspects.add(lost.file)

    def _plan(self, process: Process) -> list[Found]:
        try:
            folder = "" if self._path.is_absolute() else str(Path.cwd())
        except OSError as error:  # the folder one is in was deleted
            raise ScanError(self._path, "does not exist", "Check the path") from error
        process.ask({"plan": str(self._path), "folder": folder, "refused": self._refused})
        answer = self._until(process, "found")
        return [Found(str(hint), tuple(Place(*place) for place in places)) for hint, places in answer["found"]]

    def _build(self, process: Process, number: int, name: str) -> Scan | None:
        from tamperscan.scan.handover import scan_from

        process.ask({"build": number, "name": name})
        facts = self._until(process, "scan")["scan"]
        try:
            return None if facts is None else scan_from(facts, process.channel.take_file())
        except ChannelError as error:
            process.end()
            raise ReaderLostError(
                f"gave what is no scan ({error})", (self.found[number].places[0].label, "pixels")
            ) from error

    def _until(self, process: Process, wanted: str) -> dict[str, Any]:
        """Pass errors on until the answer comes."""
        while True:
            message = process.answer()
            if wanted in message:
                return message
            if "failed" in message:
                process.settle()
                self._busy = False
                raise ScanError(*message["failed"])
            if "error" in message:
                self._report(message["error"])

    def _report(self, told: list[str]) -> None:
        """Pass an error on, once: a second reader finds what the first one found."""
        if tuple(told) not in self._told:
            self._told.add(tuple(told))
            self._tell(ScanError(*told))
