"""``tamperscan audit``: check the audit trail, what has become of studies since, and digital signatures."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tamperscan.cli.console import SUSPICIOUS, UNREADABLE, Bar, new_app, tell_error
from tamperscan.cli.dicomweb_options import CaFileOption, CredentialsOption, TimeoutOption, connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tamperscan.scan.places import Place
    from tamperscan.serve.compare import Compared
    from tamperscan.serve.signatures import Signature

app = new_app(no_args_is_help=True)

LogArgument = Annotated[
    Path, typer.Argument(metavar="HOME", help="A home of a node or page, or an audit log itself.", exists=True)
]
HomeOption = Annotated[
    Path, typer.Option("--home", help="The home that received the study, or its audit log.", exists=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@app.callback(epilog="Example: tamperscan audit verify tamperscan-home")
def audit() -> None:
    """Check the audit trail, what has become of studies since, and digital signatures.

    The audit trail is a file of JSON lines, each with the hash of the one before. It names no patient.
    """


@app.command(epilog="Example: tamperscan audit verify tamperscan-home --anchor anchors.jsonl")
def verify(
    log: LogArgument,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", dir_okay=False, help="File with anchors that were kept elsewhere; all must hold."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no line of an audit log was altered, taken out, put in, moved or cut off.

    Whoever may write the log and the head beside it can cut its end, or write all of it anew. Only an anchor that was
    kept elsewhere shows that.

    Ends with 0 where nothing is wrong, 1 where something is, 2 for wrong usage, 3 if the log can't be read.
    """
    from tamperscan.serve import audit_check

    check = audit_check.verify(_log(log), audit_check.read_anchors(anchor) if anchor else ())
    if as_json:
        facts: dict[str, Any] = {"log": str(check.path), "intact": check.intact, "lines": check.head.number}
        facts |= {"head": check.head.sha256, "first": check.first, "last": check.last, "anchors": check.anchors}
        _print_json(facts | {"problems": check.problems, "notes": check.notes})
    else:
        since = f", {check.first} to {check.last}" if check.first else ""
        print(f"{check.path}: {'intact' if check.intact else 'NOT INTACT'}, {check.head.number} lines{since}")
        for problem in check.problems:
            print(f"  wrong: {_plain(problem)}.")
        for note in check.notes:
            print(f"  note: {note}.")
    raise typer.Exit(0 if check.intact else SUSPICIOUS)


@app.command(epilog="Example: tamperscan audit anchor tamperscan-home >> /mnt/elsewhere/anchors.jsonl")
def anchor(log: LogArgument) -> None:
    """Print the log's head, to be kept where whoever may write the log can't: another machine, a printout, a mail.

    The log is checked first. Ends with 0, with 1 where the log is not intact, 3 if it can't be read.
    """
    from datetime import UTC, datetime

    from tamperscan.serve import audit_check

    check = audit_check.verify(_log(log))
    if not check.intact:
        tell_error(f"{check.path}: is not intact. See what is wrong: tamperscan audit verify {log}")
        raise typer.Exit(SUSPICIOUS)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _print_json({"log": check.path.name, "lines": check.head.number, "head": check.head.sha256, "made": now})


@app.command(epilog="Example: tamperscan audit show tamperscan-home --study 1.2.840.1 --event received")
def show(
    log: LogArgument,
    study: Annotated[str, typer.Option("--study", help="Only lines of this study (StudyInstanceUID).")] = "",
    event: Annotated[str, typer.Option("--event", help="Only lines of this event, such as received or sent.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Print an audit log, a line an event, without checking it.

    Ends with 0, or with 3 if the log can't be read.
    """
    from tamperscan.serve.audit_check import read_lines

    for line in read_lines(_log(log)):
        if (study and line.get("study") != study) or (event and line.get("event") != event):
            continue
        if as_json:
            _print_json(line)
            continue
        first = " ".join(str(line.get(name, "")) for name in ("number", "time", "event"))
        facts = (f"{name}={value}" for name, value in line.items() if name not in _HEAD)
        print(_plain(f"{first} {' '.join(facts)}"))


@app.command(epilog="Example: tamperscan audit compare 1.2.840.1 --home tamperscan-home --from https://pacs.example/dw")
def compare(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="StudyInstanceUID of a study that was received.")],
    home: HomeOption,
    url: Annotated[str, typer.Option("--from", metavar="URL", help="The archive's DICOMweb service.")] = "",
    copy: Annotated[
        Path | None, typer.Option("--copy", exists=True, help="A folder or zip with the archive's copy, instead.")
    ] = None,
    credentials: CredentialsOption = None,
    ca_file: CaFileOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Tell whether the archive's copy of a study still has the pixels that arrived here.

    Decoded pixels are compared, so compressing them without loss is no change.

    Ends with 0 where nothing changed, 1 where pixels changed or images are missing, 2 for wrong usage, 3 if the copy
    or the log can't be read.
    """
    if bool(url) == (copy is not None):
        raise typer.BadParameter("needs --from or --copy, one of them", param_hint="--from")
    from tamperscan.serve.compare import State, StudyDigests

    digests = StudyDigests(_log(home), study)
    problems: list[str] = []
    failed: dict[str, str] = {}
    with ExitStack() as opened:
        if copy is not None:
            from tamperscan.serve.looking import files_under

            copies: Iterator[Place] = iter(files_under(copy, lambda error: problems.append(str(error))))
        else:
            from tamperscan.serve.dicomweb.copies import fetched_copies

            client = opened.enter_context(connected(url, credentials, ca_file, timeout))
            copies = fetched_copies(client, study, failed, problems.append)
        results = list(_counted(digests.compare(copies, failed), digests.instances))
    _tell_compared(study, results, as_json=as_json)
    for problem in problems:
        tell_error(problem)
    states = {result.state for result in results}
    unread = bool(problems) or State.UNKNOWN in states
    raise typer.Exit(SUSPICIOUS if states & {State.CHANGED, State.MISSING} else UNREADABLE if unread else 0)


@app.command(epilog="Example: tamperscan audit signatures study/")
def signatures(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", exists=True, help="DICOM files, folders or zips.")],
    as_json: JsonOption = False,
) -> None:
    """Verify the digital signatures that DICOM files carry (PS3.15).

    A certificate is told as it presents itself; nobody has checked who issued it.

    Ends with 0, with 1 where signed elements were altered, 2 for wrong usage, 3 if a file can't be read.
    """
    from tamperscan.errors import ScanError
    from tamperscan.serve.looking import files_under, signatures_in
    from tamperscan.serve.signatures import State

    problems: list[str] = []
    states: Counter[str] = Counter()
    files = 0
    for place in (one for path in paths for one in files_under(path, lambda error: problems.append(str(error)))):
        try:
            found = signatures_in(place)
        except ScanError as error:
            problems.append(str(error))
            continue
        files += 1
        states.update(one.state for one in found)
        _tell_signatures(place.label, found, as_json=as_json)
    if not as_json:
        counts = ", ".join(f"{states[state]} {state}" for state in State)
        print(f"{files} files read, {states.total()} signatures: {counts}")
    for problem in problems:
        tell_error(problem)
    raise typer.Exit(SUSPICIOUS if states[State.ALTERED] else UNREADABLE if problems else 0)


_HEAD = ("number", "time", "event", "previous")


def _log(path: Path) -> Path:
    """Give the audit log of a home, or the log itself."""
    from tamperscan.serve.home import Home

    return Home(path).audit_log if path.is_dir() else path


def _counted(results: Iterator[Compared], expected: int) -> Iterator[Compared]:
    with Bar("Comparing") as bar:
        for done, result in enumerate(results, start=1):
            bar.update(done, max(done, expected))
            yield result


def _tell_compared(study: str, results: list[Compared], *, as_json: bool) -> None:
    from dataclasses import asdict

    from tamperscan.serve.compare import State

    counts = Counter(result.state for result in results)
    if as_json:
        every = {state.value: counts[state] for state in State}
        _print_json({"study": study, "counts": every, "instances": [asdict(result) for result in results]})
        return
    print(f"Study {_plain(study)}: " + ", ".join(f"{counts[state]} {state}" for state in State if counts[state]))
    for result in results:
        if result.state not in (State.UNCHANGED, State.OWN):
            print(
                _plain(f"  {result.state}: {result.instance or 'a file'}{f' ({result.note})' if result.note else ''}")
            )


def _tell_signatures(label: str, found: list[Signature], *, as_json: bool) -> None:
    from dataclasses import asdict

    for one in found:
        if as_json:
            _print_json({"file": label, **asdict(one)})
            continue
        pixels = "the pixels among them" if one.covers_pixels else "not the pixels"
        where = f" in {one.place}" if one.place else ""
        print(_plain(f"{label}{where}: {one.state.upper()}{f': {one.reason}' if one.reason else ''}"))
        print(_plain(f"  {one.algorithm} over {one.elements} elements, {pixels}; made {one.signed_at}"))
        if one.signer is not None:
            by = f"  by {one.signer.subject}, as its certificate says"
            who = "itself" if one.signer.self_signed else one.signer.issuer
            print(_plain(f"{by}, issued by {who}, {one.signer.key}, {one.signer.not_before} to {one.signer.not_after}"))


def _print_json(facts: dict[str, Any]) -> None:
    import json

    print(json.dumps(facts), flush=True)


def _plain(text: str) -> str:
    """Replace what could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
