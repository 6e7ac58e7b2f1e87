"""Health checks: ``/livez`` checks nothing else, ``/readyz`` checks each dependency by name."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import structlog
from aiohttp import web

from shared.process.metrics import show_metrics

Check = Callable[[], Awaitable[object]]
CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("checks", dict[str, Check])
CHECK_SECONDS = 1.0

log = structlog.get_logger()


def add_health(app: web.Application) -> None:
    """Serve ``/livez``, ``/readyz`` and ``/metrics``. A resource adds its check to ``app[CHECKS]`` when it is ready."""
    app[CHECKS] = {}
    app.router.add_get("/livez", _livez, allow_head=False)
    app.router.add_get("/readyz", _readyz, allow_head=False)
    app.router.add_get("/metrics", show_metrics, allow_head=False)


def withdraw_readiness(app: web.Application) -> None:
    """Let ``/readyz`` fail from now on: the process drains, and load balancers must choose another one."""
    if CHECKS in app:
        app[CHECKS]["accepting"] = _refuse


async def _refuse() -> None:
    raise ConnectionRefusedError("draining")


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    checks = request.app[CHECKS]
    states = await asyncio.gather(*(_state(name, check) for name, check in checks.items()))
    ready = all(state == "ok" for state in states)
    body = orjson.dumps({"ready": ready, "checks": dict(zip(checks, states, strict=True))})
    return web.Response(body=body, status=200 if ready else 503, content_type="application/json")


async def _state(name: str, check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001  a probe reports every error by its class
        log.warning("readiness.failed", check=name, error=type(error).__name__)
        return "failed"
    return "ok"
