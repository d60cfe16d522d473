"""The section on the DICOM node."""

from __future__ import annotations

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.node import NodeResult
from tamperscan.bench.node_crashes import CrashResult
from tamperscan.bench.node_speed import NodeSpeed, SpeedRow
from tamperscan.bench.tables import number, paragraph, table


def node_page(result: NodeResult, origin: Provenance) -> str:
    """Tell what was measured of the node."""
    sections = [
        title("The DICOM node: crashes, and speed"),
        origin.markdown(),
        "### Killed at random moments",
        _crashes(result.crashes),
        "### Images a second",
        _speed(result.speed),
    ]
    return "\n\n".join(sections)


def _crashes(crashes: CrashResult) -> str:
    rows = [
        ("kills by SIGKILL, every other one of all its processes", crashes.kills),
        ("images sent, in series of 20, by 4 senders at a time", crashes.instances),
        ("images acknowledged", crashes.acknowledged),
        ("acknowledged and lost, or kept with other pixels", crashes.lost),
        ("series without a report in the archive", crashes.unreported),
        ("series reported twice", crashes.reported_twice),
        ("objects that came again under their UID with other content", crashes.altered),
        ("objects that came again as they were", crashes.sent_again),
        ("files left over in the spool", crashes.leftovers),
        ("audit trail", "unbroken" if crashes.audit_whole else "broken"),
    ]
    words = paragraph(
        "The node is killed, and started again at once, at moments drawn evenly from the first seconds of each of its",
        "lives, its start included. A sender repeats what was not acknowledged. In the end every series must be in the",
        f"archive that results go to, with one report. It took {crashes.seconds:.0f} s.",
    )
    return f"{words}\n\n{table(['what', 'count'], [(name, str(count)) for name, count in rows])}"


def _speed(speed: NodeSpeed) -> str:
    head = ["receiver", "on the disk first", "one association a sender", "one association an image", "failed"]
    rows = [
        [row.name, "yes" if row.safe else "no", *(_rate(values) for values in (row.many, row.single)), str(row.failed)]
        for row in speed.rows
    ]
    words = paragraph(
        f"{speed.senders} storescu processes at once send images of {speed.side} x {speed.side} pixels, {speed.images}",
        f"each over one association, then {speed.images_alone} each over an association of their own. Medians of",
        f"{len(speed.rows[0].many)} rounds in which the receivers take turns, the least and the most in brackets.",
        f"Senders and receiver share {speed.cores} cores, so that much of the time is the senders', above all where",
        "each image takes a process of its own. The node has a receiver for each core (`receivers`). Only the",
        "node with its usual settings waits for the disk (fsync of the file, of its folder and of the ledger) before",
        "it says that it has an image; storescp never does. Without --fork storescp serves one association after the",
        "other, each sender waiting for its turn. TCP_NODELAY, a",
        "variable of the environment, is set for all senders.",
    )
    return f"{words}\n\n{table(head, rows)}\n\n{_compared(speed)}"


def _compared(speed: NodeSpeed) -> str:
    """Put the node beside each storescp that was measured."""
    ours, *others = speed.rows
    ratios = [f"{_ratios(ours, other)} ({other.name})" for other in others if "storescp" in other.name]
    if not ratios:
        return "storescp was not measured."
    return paragraph(
        "Times as fast as storescp, over one association a sender and over one an image:", f"{', '.join(ratios)}."
    )


def _ratios(ours: SpeedRow, other: SpeedRow) -> str:
    return " and ".join(number(mine / theirs, 2) for mine, theirs in zip(ours.medians, other.medians, strict=True))


def _rate(values: tuple[float, ...]) -> str:
    from statistics import median

    return f"{median(values):.0f} [{min(values):.0f}, {max(values):.0f}]"
