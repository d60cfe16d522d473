"""A limit on the memory of a process."""

from __future__ import annotations

import resource


def limit_memory(gib: float) -> None:
    """Let what asks for more fail with a MemoryError. RLIMIT_DATA counts all private memory since Linux 4.7."""
    most = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
