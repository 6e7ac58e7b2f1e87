"""Health and metrics on a port of their own: ``/livez`` checks nothing else, ``/readyz`` each dependency by name."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson
import structlog
from aiohttp import web

from shared.process.backends import Check, watching_backends
from shared.process.loop_lag import measuring_loop_lag
from shared.process.metrics import show_metrics

CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("checks", dict[str, Check])
BACKENDS: web.AppKey[dict[str, Check]] = web.AppKey("backends", dict[str, Check])
"""What the process uses and is ready without. ``haoma_backend_up`` shows these and the checks of readiness."""
CHECK_SECONDS = 1.0
ACCEPTING = "accepting"
"""The check that fails while a process drains; before, there is none."""

log = structlog.get_logger()


def add_checks(app: web.Application) -> None:
    """Let an application have checks: a resource adds its own to ``app[CHECKS]`` or ``app[BACKENDS]``."""
    app[CHECKS], app[BACKENDS] = {}, {}


def monitoring(app: web.Application) -> web.Application:
    """What the monitoring port of a process serves: ``/livez``, ``/readyz`` and ``/metrics``, by GET and HEAD.

    ``app`` is the application whose checks it reports. This port is for the own network: it must not be published.
    """
    monitored = web.Application()
    monitored[CHECKS] = app[CHECKS]
    monitored.router.add_get("/livez", _livez)
    monitored.router.add_get("/readyz", _readyz)
    monitored.router.add_get("/metrics", show_metrics)

    def backends() -> Mapping[str, Check]:
        checks = {name: check for name, check in app[CHECKS].items() if name != ACCEPTING}
        return checks | app[BACKENDS]

    async def measuring(_: web.Application) -> AsyncIterator[None]:
        async with measuring_loop_lag(), watching_backends(backends):
            yield

    monitored.cleanup_ctx.append(measuring)
    return monitored


def add_public_probe(app: web.Application) -> None:
    """Serve ``/livez`` on the port of the application itself, for load balancers that can ask no other port.

    It tells only whether the process accepts requests: 503 while it drains.
    """
    app.router.add_get("/livez", _accepting)


def withdraw_readiness(app: web.Application) -> None:
    """Let ``/readyz`` fail from now on: the process drains, and load balancers must choose another one."""
    if CHECKS in app:
        app[CHECKS][ACCEPTING] = _refuse


async def _refuse() -> None:
    raise ConnectionRefusedError("draining")


async def _accepting(request: web.Request) -> web.Response:
    draining = ACCEPTING in request.app[CHECKS]
    return web.Response(text="draining\n" if draining else "ok\n", status=503 if draining else 200)


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
