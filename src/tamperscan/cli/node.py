"""``tamperscan node``: receive studies from a PACS or a scanner, screen them, and send the results back."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import new_app
from tamperscan.cli.default_group import default_group
from tamperscan.errors import ServeError

if TYPE_CHECKING:
    from tamperscan.serve.database import Database
    from tamperscan.serve.status import Status

app = new_app(cls=default_group("run"), no_args_is_help=True)

HomeOption = Annotated[
    Path,
    typer.Option("--home", file_okay=False, help="Folder that keeps everything: images, queue, results, audit trail."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DEFAULT_HOME = Path("tamperscan-home")


@app.callback(epilog="Example: tamperscan node --rules node.yaml --home /var/lib/tamperscan")
def node() -> None:
    """Receive studies, screen them by rules, and send the results where the rules say.

    It takes C-ECHO, C-STORE and storage commitment, acknowledges an image when it is safe on the disk, and goes on
    after any crash. Ends in good order with Ctrl-C or SIGTERM, or by `tamperscan node drain`.
    """


@app.command("run", hidden=True)
def run(
    rules: Annotated[Path, typer.Option("--rules", help="YAML file that says what is done with what arrives.")],
    home: HomeOption = DEFAULT_HOME,
    check: Annotated[bool, typer.Option("--check", help="Check the rules, and end.")] = False,
) -> None:
    """Work until told to end."""
    from tamperscan.serve.rules import read_rules

    _need_extra()
    known = read_rules(rules)
    if check:
        print(f"{rules}: no error. Rules: {len(known.rules)}; destinations: {len(known.destinations)}.")
        return
    from tamperscan.serve.home import Home
    from tamperscan.serve.logs import log_to_stderr
    from tamperscan.serve.node import Node

    log_to_stderr()
    started = Node(Home(home.absolute()), known)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: started.end())
    settings = started.settings
    print(
        f"{settings.ae_title} listens on {settings.host}:{started.port}; metrics on 127.0.0.1:{started.metrics_port}.",
        flush=True,
    )
    started.run()


@app.command(epilog="Example: tamperscan node status --home /var/lib/tamperscan --json")
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show what has arrived, what waits, what was sent, and the dead letters."""
    from tamperscan.serve.status import read_status

    state = read_status(_open(home))
    if as_json:
        print(json.dumps(state.as_json()))
    else:
        _print_status(state)


@app.command(epilog="Example: tamperscan node retry --home /var/lib/tamperscan")
def retry(
    job: Annotated[str | None, typer.Argument(help="One job; all dead letters if not given.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Try the dead letters again: jobs that failed, and results that no receiver took."""
    from tamperscan.serve.deliveries import retry_dead
    from tamperscan.serve.queue import Queue

    database = _open(home)
    queue = Queue(database.home, database)
    again = 0 if job is not None and queue.job(job).state != "failed" else len(queue.retry(job))
    sent = retry_dead(database, job)
    if job is not None and not again and not sent:
        raise ServeError(f"{job}: is no dead letter. `tamperscan node status` lists them.")
    print(f"Tried again: {again} screenings, {sent} deliveries.")


@app.command(epilog="Example: tamperscan node drain --home /var/lib/tamperscan --timeout 600")
def drain(
    home: HomeOption = DEFAULT_HOME,
    timeout: Annotated[float, typer.Option("--timeout", min=0.0, help="Seconds to wait for its end.")] = 3600.0,
) -> None:
    """Have a running node take nothing more, finish what it has, and end; wait for that.

    Results whose receiver can't be reached stay, and are sent after the next start.
    """
    from tamperscan.serve.status import node_runs

    database = _open(home)
    if not node_runs(database.home):
        raise ServeError(f"{home}: no node runs on it. There is nothing to drain.")
    database.remember("drain", "1")
    until = time.monotonic() + timeout
    while node_runs(database.home):
        if time.monotonic() > until:
            raise ServeError(f"{home}: the node is not done after {timeout:g} s. It goes on; call this again to wait.")
        time.sleep(0.2)
    print("The node has ended.")


def _open(home: Path) -> Database:
    from tamperscan.serve.database import Database
    from tamperscan.serve.home import Home

    found = Home(home.absolute())
    if not found.database.is_file():
        raise ServeError(f"{home}: no node has run here. Name its folder with --home.")
    return Database(found)


def _need_extra() -> None:
    try:
        import prometheus_client  # noqa: F401
        import pynetdicom  # noqa: F401
        import yaml  # noqa: F401
    except ImportError as error:
        raise ServeError(f"{error.name} is not installed. Run: pip install 'tamperscan[serve]'") from error


def _print_status(state: Status) -> None:
    doing = "draining" if state.draining else "running" if state.running else "not running"
    print(
        f"Node: {doing}. Images take {state.spool_bytes / 2**30:.2f} GiB; {state.free_bytes / 2**30:.1f} GiB are free."
    )
    for name, counts in (("Instances", state.instances), ("Jobs", state.jobs), ("Verdicts", state.verdicts)):
        print(f"{name}: {', '.join(f'{count} {what}' for what, count in counts.items()) or 'none'}.")
    for (destination, what), count in state.deliveries.items():
        print(f"To {destination}: {count} {what}.")
    if state.conflicts:
        print(f"{state.conflicts} images came with other pixels under a UID that was known already.")
    for letter in state.dead_letters:
        print(f"Dead letter: {letter.job} ({letter.what}): {letter.error}")
