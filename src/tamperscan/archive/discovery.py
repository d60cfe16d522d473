"""Finds the series of an archive while others are screened already."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from tamperscan.archive.errors import WorkerLostError
from tamperscan.archive.found import FoundSeries
from tamperscan.archive.grouping import Grouping
from tamperscan.archive.headers import Headers, Unreadable, join_headers
from tamperscan.archive.index import Index
from tamperscan.archive.places import Place, file_of
from tamperscan.archive.walking import Folder, look_at, walk

AHEAD: Final = 8
"""Batches of files whose headers are read at a time."""


class Pending(Protocol):
    """Headers that are being read somewhere."""

    def result(self) -> Headers:
        """Wait for them."""
        ...


ReadHeaders = Callable[[Place, tuple[str, ...]], Pending]
Seen = Callable[[int], None]
_Job = tuple[Folder, Grouping, tuple[str, ...], Pending | None]


class Discovery:
    """Finds what is to be screened.

    Parameters
    ----------
    index
        Knows what is done, and is told what is found.
    read
        Begins to read headers.
    seen
        Is told how many files need no work: of folders without change, and those that are no scan.
    retry_failed
        Whether what failed before is tried again.
    """

    def __init__(self, index: Index, read: ReadHeaders, seen: Seen, *, retry_failed: bool = False) -> None:
        self._index, self._read, self._seen = index, read, seen
        self._retry = retry_failed

    def report(self, one: Unreadable) -> None:
        """Remember what was found and can't be used."""
        self._index.note_unlisted(one)

    def under(self, root: Place) -> Iterator[FoundSeries]:
        """Find the series below a folder or a prefix, folder by folder.

        Yields
        ------
        FoundSeries
            Those without a row of these very files. One that has files in another folder too is left for `scattered`.
        """
        wanted = (folder for folder in walk(root, self.report) if not self._skip(folder))
        for folder, grouping in self._grouped(wanted):
            known = 0
            for series in grouping.series():
                known += series.files
                if not self._index.is_done(series.key, self._index.listing_of(series.key), retry_failed=self._retry):
                    if len(self._index.places_of(series.key)) == 1:
                        yield series
                        continue
                    self._index.defer(series.key)
                self._seen(series.files)
            self._seen(folder.files - min(known, folder.files))

    def scattered(self) -> Iterator[FoundSeries]:
        """Find all files of the series that lie in several folders; to be asked when everything is walked through."""
        key = ""
        while keys := self._index.deferred(key):
            for key in keys:
                series = self._gather(key)
                if series is None or self._index.is_done(key, series.listing, retry_failed=self._retry):
                    self._index.undefer(key)
                else:
                    yield series

    def _skip(self, folder: Folder) -> bool:
        done = self._index.is_folder_done(folder, retry_failed=self._retry)
        if done:
            self._seen(folder.files)
        return done

    def _gather(self, key: str) -> FoundSeries | None:
        """Put together the files of one series from all of its folders, as they are now."""
        whole = Grouping()
        try:
            folders = (look_at(place, self.report) for place in self._index.places_of(key))
            for _, grouping in self._grouped(folders):
                whole.add_from(grouping, key)
            return next(whole.series(), None)
        finally:
            whole.close()

    def _grouped(self, folders: Iterator[Folder]) -> Iterator[tuple[Folder, Grouping]]:
        """Read the headers of folders, some batches ahead, and give each folder when all of its headers are there."""
        jobs: deque[_Job] = deque()
        for folder in folders:
            grouping = Grouping()
            for batch in folder.batches():
                jobs.append((folder, grouping, batch, self._read(folder.place, batch)))
                yield from self._finished(jobs, AHEAD)
            jobs.append((folder, grouping, (), None))
        yield from self._finished(jobs, 0)

    def _finished(self, jobs: deque[_Job], ahead: int) -> Iterator[tuple[Folder, Grouping]]:
        while len(jobs) > ahead:
            folder, grouping, names, pending = jobs.popleft()
            if names:
                headers = self._headers(folder.place, names, pending)
                grouping.add(headers.entries, headers.unreadable)
                continue
            self._index.note_folder(folder, grouping.members(), grouping.unreadable())
            yield folder, grouping
            grouping.close()

    def _headers(self, place: Place, names: tuple[str, ...], pending: Pending | None) -> Headers:
        """Wait for headers; if their worker ended, halve the files until the one that did it is found."""
        try:
            return (pending or self._read(place, names)).result()
        except WorkerLostError as error:
            if len(names) == 1:
                problem = f"is not looked into: the worker that read its header {error}"
                return Headers((), (Unreadable(file_of(place, names[0]).label, problem),), 0)
        halves = [self._headers(place, half, None) for half in (names[: len(names) // 2], names[len(names) // 2 :])]
        return join_headers(halves)
