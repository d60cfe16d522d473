"""The section on archives."""

from __future__ import annotations

from tamperscan.bench.archive import ArchiveKills, ArchiveMemory, ArchiveResult, WorkerSpeed
from tamperscan.bench.document import Provenance, title
from tamperscan.bench.tables import number, paragraph, table


def archive_page(result: ArchiveResult, origin: Provenance) -> str:
    """Tell what was measured of runs over archives."""
    sections = [title("Archives: workers, memory, kills"), origin.markdown()]
    if result.speed:
        sections += ["### One worker and two", _speed(result.speed)]
    if result.memory:
        sections += ["### Memory", _memory(result.memory)]
    if result.kills:
        sections += ["### Killed at random moments", _kills(result.kills)]
    return "\n\n".join(sections)


def _speed(speed: tuple[WorkerSpeed, ...]) -> str:
    one, two = speed
    rows = [
        [str(each.workers), *(f"{each.slices / s:.2f}" for s in each.seconds), f"{each.rate:.2f}"] for each in speed
    ]
    head = ["workers", *(f"round {place + 1}" for place in range(len(one.seconds))), "quickest"]
    gains = ", ".join(number(first / second, 2) for first, second in zip(one.seconds, two.seconds, strict=True))
    words = paragraph(
        f"Slices a second over {one.series} real series of {one.slices} slices, from the moment that all workers had",
        "their networks. A worker is one process with one thread for the network. One worker is kept to one core and",
        "two to two cores, with all that reads and decodes for them and Ray's own processes; they take turns.",
        f"Two workers gain {gains} in these rounds,",
        f"{number(two.rate / one.rate, 2)} by the quickest; linear would be 2, and within 10 % of it 1.8 or more.",
    )
    return f"{words}\n\n{table(head, rows)}"


def _memory(memory: tuple[ArchiveMemory, ...]) -> str:
    head = ["series", "slices", "driver (MB)", "workers (MB)", "everything (MB)"]
    rows = [
        [
            str(each.series),
            str(each.slices),
            *(f"{value:.0f}" for value in (each.peak.driver, each.peak.workers, each.peak.everything)),
        ]
        for each in memory
    ]
    small, large = (each.peak.everything for each in memory)
    words = paragraph(
        "The most memory at a time (proportional set size, in 10^6 bytes) of runs with two workers over archives of",
        "short series, one ten times as large as the other. Workers are those that read and those that screen;",
        f"everything is Ray's own processes too. Ten times the input takes {number(large / small, 2)} times as much.",
    )
    return f"{words}\n\n{table(head, rows)}"


def _kills(kills: ArchiveKills) -> str:
    rows = [
        ("series in the archive", kills.series),
        ("runs killed by SIGKILL", kills.kills),
        ("of these with all processes that they had started", kills.of_everything),
        ("runs that ended with an error of their own, and were run again", kills.failed),
        ("times that the archive was screened to its end", kills.finished),
        ("of these with the very rows of the undisturbed run", kills.identical),
    ]
    words = paragraph(
        "Runs are killed at moments drawn evenly from the time that an undisturbed run takes, its start included, and",
        "run again at once. When a run comes to its end its results are compared with those of the undisturbed run,",
        "every column of every row, and the next one begins anew. The undisturbed run took",
        f"{kills.undisturbed_seconds:.0f} s, the others {kills.seconds:.0f} s in all.",
    )
    return f"{words}\n\n{table(['what', 'count'], [(name, str(count)) for name, count in rows])}"
