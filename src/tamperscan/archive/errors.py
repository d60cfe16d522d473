"""What goes wrong with a run over an archive, in words that are used in several places."""

from __future__ import annotations

from tamperscan.errors import ArchiveError


def missing_package(name: str) -> ArchiveError:
    """Say how to install what screening archives needs beyond the plain install."""
    return ArchiveError(f"Archives need the package {name}. Install it: pip install 'tamperscan[archive]'.")


class UnreachableError(ArchiveError):
    """There is no cluster where one should be."""


class NotStartedError(ArchiveError):
    """Ray did not start on this machine in the time that it allows itself."""


class WorkerLostError(Exception):
    """A worker ended in the middle of its work, as when the system took its memory away."""


class ClusterLostError(Exception):
    """The cluster does not answer any more."""
