"""Work on several slices at a time, and hand out the results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar, cast

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield the result of each item in order, while the next ones are worked on.

    Networks and filters release Python's lock, so that threads keep all cores busy where one alone waits now for the
    network and now for a filter. No more than twice as many results as workers are held at a time. Meanwhile products
    of matrices run in one thread each: those of a slice are too small for more, and the threads of BLAS would take
    turns with the workers.

    Parameters
    ----------
    work
        Called with each item, in several threads.
    items
        Taken as they are needed.
    workers
        Threads; with one, the work is done in the caller's own.
    """
    if workers == 1:
        yield from map(work, items)
        return
    pending: deque[Future[Result]] = deque()
    with (
        _libraries().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(workers, thread_name_prefix="slices") as pool,
    ):
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def slices_at_a_time(threads: int, *, beside_gpu: bool = False) -> int:
    """Say how many slices to work on with so many threads: one more, for where one waits for Python's lock or a GPU."""
    return threads + 1 if threads > 1 or beside_gpu else 1


@cache
def _libraries() -> ThreadpoolController:
    """Find the libraries with threads of their own that are loaded; it takes milliseconds."""
    return ThreadpoolController()


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items in their order, each made in a thread while the one before is worked on.

    Two are held at a time. All of them are made in the same thread.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        ahead = pool.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = pool.submit(next, iterator, end)
            yield cast("Item", item)
