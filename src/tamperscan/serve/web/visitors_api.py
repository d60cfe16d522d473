"""What a visitor asks first: what this is, whether it is well, and to be let in."""

from __future__ import annotations

import asyncio
import hmac

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from tamperscan.report.schema import DISCLAIMER, package_version
from tamperscan.serve.audit import REFUSED
from tamperscan.serve.web.login import COOKIE, LASTS, make_cookie
from tamperscan.serve.web.models import About, LoginRequest, Problem
from tamperscan.serve.web.serving import Served

router = APIRouter(tags=["visitors"])

WRONG_TOKEN_SECONDS = 1.0
"""How long the answer to a wrong token takes; at most one of them is looked at at a time."""


@router.get("/health", summary="Say that the page answers")
def health() -> dict[str, str]:
    """Answer, as long as the page runs; for whatever watches over it."""
    return {"status": "ok"}


@router.get("/api/about", summary="What this page is and what it takes")
def about(service: Served, request: Request) -> About:
    """Give the version, the limits, and who the visitor is."""
    return About(
        version=package_version(),
        disclaimer=DISCLAIMER,
        upload_limit=service.settings.upload_limit,
        reviewer=str(request.state.reviewer),
        signed_in=bool(service.settings.token),
    )


@router.post(
    "/api/login",
    status_code=204,
    summary="Exchange the token for a cookie",
    responses={401: {"model": Problem, "description": "This is not the token."}},
)
async def login(service: Served, wanted: LoginRequest, request: Request) -> Response:
    """Sign in; the cookie lasts twelve hours."""
    token = service.settings.token
    if not token or not hmac.compare_digest(wanted.token.encode(), token.encode()):
        async with service.refusing:
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            address = request.client.host if request.client else ""
            await run_in_threadpool(service.audit.append, REFUSED, origin="page", reason="wrong token", address=address)
        raise HTTPException(401, "This is not the token.")
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, make_cookie(token), max_age=LASTS, httponly=True, samesite="strict", secure=secure)
    return response


@router.post("/api/logout", status_code=204, summary="Sign out")
def logout() -> Response:
    """Take the cookie back."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
