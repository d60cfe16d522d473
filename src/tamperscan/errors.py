"""Every error that tamperscan raises on purpose.

::

    TamperscanError
      x ScanError          an input that can't be read as a scan
      x WeightsError       weights that are missing, altered or of another make
      x OutputError        a result that can't be written
        x ForgedError      a forged image that must not be sent
      x TrainingError      a training run that can't start or go on
      x ForgeError         a forgery for measuring that can't be made
      x BenchError         a measurement that can't start or go on
      x ServeError         a service (node, page) that can't start or go on
      x ArchiveError       a run over an archive that can't start or go on

Each message names the thing (a file, a folder, an option), what is wrong with it and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tamperscan.plain_text import printable

LONGEST_PROBLEM: Final = 400
"""Characters of what is told of a file; its header may hold megabytes."""


class TamperscanError(Exception):
    """Base of all errors of this package.

    ::

        try:
            scan = tamperscan.read_scan(path)
        except tamperscan.TamperscanError as error:
            print(error)
    """

    def __str__(self) -> str:
        """Tell it in one line; what a file put into it can't forge a second one, nor drive a terminal."""
        return printable(super().__str__())


class ScanError(TamperscanError):
    """An input that can't be read as a scan.

    Parameters
    ----------
    path
        The file or folder that was to be read.
    problem
        What is wrong, in a few words.
    advice
        What the user can do about it.
    """

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        self.path = str(path)
        self.problem = printable(problem, LONGEST_PROBLEM)
        self.advice = printable(advice, LONGEST_PROBLEM)
        super().__init__(f"{self.path}: {self.problem}. {self.advice}.")

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, str, str]]:
        return (type(self), (self.path, self.problem, self.advice))


class WeightsError(TamperscanError):
    """Weights that are missing, altered, or not of the kind that was asked for."""


class OutputError(TamperscanError):
    """A result that can't be written: no permission, no space, or a file in the way."""


class ForgedError(OutputError):
    """An image that was forged by tamperscan, and must not be sent anywhere."""


class TrainingError(TamperscanError):
    """A training run that can't start or can't go on."""


class ForgeError(TamperscanError):
    """A forgery that can't be made: a place outside the scan, a lesion that does not fit, missing weights."""


class BenchError(TamperscanError):
    """A measurement that can't start or go on: no cases, a table that makes no sense, results of another run."""


class ServeError(TamperscanError):
    """A service that can't start or go on: rules with an error, a home in use, a port that is taken."""


class ArchiveError(TamperscanError):
    """A run over an archive that can't start or go on: results of another version, no cluster, nothing to screen."""
