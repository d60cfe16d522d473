"""The web application: the API, the page's files, and the guard before both."""

from __future__ import annotations

import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from tamperscan.errors import TamperscanError
from tamperscan.report.schema import DISCLAIMER, package_version
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue
from tamperscan.serve.web import jobs_api, results_api, scans_api, visitors_api
from tamperscan.serve.web.guard import Guard
from tamperscan.serve.web.models import Problem
from tamperscan.serve.web.serving import REFUSALS, Service
from tamperscan.serve.web.settings import PageSettings

_log = logging.getLogger("tamperscan.serve.web")

STATIC = Path(str(files(__package__).joinpath("static")))


def create_app(home: Home, settings: PageSettings) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    home
        Where jobs and results are; shared with a node, if there is one.
    settings
        Who may come in, and how much they may send.

    Raises
    ------
    ServeError
        If the settings would let anyone in, or the home can't be used.
    OutputError
        If the home can't be written to.
    """
    settings.check()
    home.prepare()
    app = FastAPI(
        title="tamperscan",
        version=package_version(),
        description=f"Screens CT and MR scans for tampering. {DISCLAIMER}",
        docs_url=None,  # its page would come from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={**REFUSALS, 422: {"model": Problem, "description": "A value is missing or makes no sense."}},
    )
    app.state.service = Service(home, Queue(home), AuditLog(home.audit_log), settings)
    for part in (visitors_api, scans_api, jobs_api, results_api):
        app.include_router(part.router)
    app.include_router(pages)
    app.mount("/static", _Static(directory=STATIC))
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(TamperscanError, _tell_error)
    app.add_middleware(Guard, settings=settings)
    return app


class _Static(StaticFiles):
    """The page's files: a browser keeps them, and asks whether they are still the same."""

    def file_response(self, *arguments: Any, **settings: Any) -> Response:
        response = super().file_response(*arguments, **settings)
        response.headers["Cache-Control"] = "no-cache"
        return response


pages = APIRouter(include_in_schema=False)
"""Plain files, which learn the rest from the API."""


@pages.get("/")
def _worklist_page() -> Response:
    return _page("worklist.html")


@pages.get("/read/{job_id}")
def _reader_page() -> Response:
    return _page("reader.html")


@pages.get("/login")
def _login_page() -> Response:
    return _page("login.html")


@pages.get("/favicon.ico")
def _icon() -> Response:
    return _page("icon.svg")


def _page(name: str) -> Response:
    return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})


def _tell_invalid(_: Request, error: Exception) -> JSONResponse:
    """Say in one sentence which value makes no sense, without repeating it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return JSONResponse({"detail": f"{where[:100]}: {first['msg']}."}, status_code=422)


def _tell_error(_: Request, error: Exception) -> JSONResponse:
    """Tell a failure of ours: a full disk, a damaged database."""
    _log.error("request failed", extra={"facts": {"problem": " ".join(str(error).split())}})
    return JSONResponse({"detail": "The page could not do this. Ask whoever runs it; its log says why."}, 500)
