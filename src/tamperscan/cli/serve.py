"""``tamperscan serve``: the reader's page and its API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import new_app, tell_error
from tamperscan.errors import ServeError

if TYPE_CHECKING:
    from tamperscan.serve.home import Home

DEFAULT_HOME = Path("tamperscan-home")
TOKEN_VARIABLE = "TAMPERSCAN_TOKEN"
MEBIBYTE = 2**20

app = new_app()


@app.command(epilog="Example: tamperscan serve study/ --home tamperscan-home")
def serve(
    scans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SCAN", help="Scans to screen and show at once: files, folders or zips.", exists=True),
    ] = None,
    home: Annotated[
        Path, typer.Option("--home", file_okay=False, help="Folder that keeps jobs and results; a node's, or its own.")
    ] = DEFAULT_HOME,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine need a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8765,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", dir_okay=False, help=f"File with the token; {TOKEN_VARIABLE} holds it otherwise."),
    ] = None,
    identity_header: Annotated[
        str, typer.Option("--identity-header", help="Header in which a sign-in proxy says who it is.")
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None, typer.Option("--trusted-proxy", metavar="ADDRESS", help="Address of that proxy.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Further name under which browsers ask for the page."),
    ] = None,
    upload_limit: Annotated[int, typer.Option("--upload-limit", min=1, help="Most MiB of one upload.")] = 2048,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", dir_okay=False, exists=True, help="Certificate (PEM), for https.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", dir_okay=False, exists=True, help="Its key (PEM).")
    ] = None,
) -> None:
    """Show scans, the suspicion in them and a worklist in a browser.

    Without options only this machine can open the page. What is dropped on the page, or named here, is screened and
    kept in the home; with a node's home the page shows what the node screened too.

    Ends with 0 when told to end, 2 for wrong usage, 3 where it can't start.
    """
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("needs --tls-cert and --tls-key, both or neither", param_hint="--tls-cert")
    _check_installed()
    from tamperscan.serve.home import Home
    from tamperscan.serve.web.server import serve as serve_page
    from tamperscan.serve.web.settings import PageSettings

    settings = PageSettings(
        host=host,
        port=port,
        token=_token(token_file),
        identity_header=identity_header,
        trusted_proxies=tuple(trusted_proxy or ()),
        allowed_hosts=tuple(name.casefold() for name in allow_host or ()),
        upload_limit=upload_limit * MEBIBYTE,
    )
    settings.check()
    kept = Home(home.absolute())
    kept.prepare()
    pages = [page for path in scans or [] if (page := _queue(kept, path))]
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    serve_page(kept, settings, tls=tls, on_start=lambda address: _tell(address, pages))


def _check_installed() -> None:
    """Say what to install where the packages of a service are missing."""
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ServeError(f"The page needs {error.name}: pip install 'tamperscan[serve]'.") from None


def _token(file: Path | None) -> str:
    """Read the token from its file or the environment, where other users' lists of processes don't show it."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"--token-file {file}: can't be read. Name a text file that holds the token.") from error
    if not token:
        raise ServeError(f"--token-file {file}: is empty. Put a long random word into it.")
    return token


def _queue(home: Home, path: Path) -> str:
    """Queue a scan of this machine where it lies; give its page, nothing where there is no scan."""
    from tamperscan.serve.audit import AuditLog
    from tamperscan.serve.queue import Queue
    from tamperscan.serve.web.arriving import NAMED, queue_scan
    from tamperscan.serve.web.probe import probe

    contents = probe(path)
    if contents.problem:
        tell_error(f"{path}: {contents.problem}.".replace("..", "."))
        return ""
    queue = Queue(home)
    source = path.resolve()
    job = queue_scan(
        queue,
        AuditLog(home.audit_log),
        contents,
        key=f"path {source} {source.stat().st_mtime_ns}",
        source=source,
        title=source.name,
        event=NAMED,
    )
    queue.database.close()
    return f"read/{job.id}"


def _tell(address: str, pages: list[str]) -> None:
    for page in pages or [""]:
        print(f"Open in a browser: {address}{page}", flush=True)
    print("Ctrl-C ends it. Research use only. Not a medical device. Not for diagnosis.", flush=True)
