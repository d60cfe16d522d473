"""From the counters to the tables of docs/robustness.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzz.counters import FOLDER, Counter, load
from fuzz.mended import MENDED
from fuzz.targets import NAMES, TARGETS

PAGE = Path("docs/robustness.md")
WHAT = {
    "web-api": "Requests to the page's API, made by schemathesis of its own description",
    "command": "`tamperscan screen` on folders of 60 files that the other targets came upon",
}
BROKEN = ("crash-*", "oom-*", "timeout-*", "leak-*")


def tell() -> str:
    """Give the section in Markdown."""
    counters = {name: load(FOLDER / "counts" / f"{name}.json") for name in (*NAMES, *WHAT)}
    tried = sum(counter.inputs for counter in counters.values())
    hours = sum(counter.seconds for counter in counters.values()) / 3600
    still = {name: still_there(name) for name in counters}
    head = (
        f"{tried:,} inputs in {hours:.1f} hours of one core, each target in a process with a limit of 4 GiB; an input "
        "that takes 10 s counts as a hang."
    )
    return "\n".join([head, "", *_targets(counters, still), "", *_mended(counters)]) + "\n"


def _targets(counters: dict[str, Counter], still: dict[str, int]) -> Iterator[str]:
    yield "| target | what is read | tried | defects now | ever crashed or hung | slowest | most memory |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for name, counter in counters.items():
        if counter.inputs:
            broken = sum(1 for pattern in BROKEN for _ in (FOLDER / "defects" / name).glob(pattern))
            broken += sum(count for place, count in counter.defects.items() if place.startswith("Hang"))
            yield (
                f"| {name} | {_what(name)} | {counter.inputs:,} | {still[name]} | {broken} | {counter.slowest:.1f} s "
                f"| {counter.peak_mb} MB |"
            )


def _what(name: str) -> str:
    if name in WHAT:
        return WHAT[name]
    if name in TARGETS:
        return (TARGETS[name].__doc__ or "").split("\n")[0].rstrip(".")
    return f"The same as {name.removesuffix('-values')}, nearly right, made by hypothesis"


def _mended(counters: dict[str, Counter]) -> Iterator[str]:
    shown: dict[str, int] = {}
    for counter in counters.values():
        for place, count in counter.defects.items():
            shown[place] = shown.get(place, 0) + count
    yield "| defect found, and mended | found by | inputs that showed it | kept from coming back by |"
    yield "| --- | --- | ---: | --- |"
    for one in MENDED:
        count = sum(shown.pop(place, 0) for place in one.places)
        yield f"| {one.what} | {one.found_by} | {f'{count:,}' if one.places else ''} | `{one.test}` |"
    for place, count in shown.items():
        yield f"| {place} | | {count:,} | not yet |"


def still_there(target: str) -> int:
    """Count the kept inputs that show their defect still."""
    folder = FOLDER / "defects" / target
    inputs = sorted(path for pattern in ("*/input", *BROKEN) for path in folder.glob(pattern))
    if not inputs or target in WHAT:
        return len(inputs)
    command = [sys.executable, "-m", "fuzz.replay", target, *map(str, inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else len(inputs)


def write() -> None:
    """Write the section into the page."""
    from tamperscan.bench.document import write_section

    write_section(PAGE, "hostile files", tell())
