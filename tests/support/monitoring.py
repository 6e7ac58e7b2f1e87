"""The monitoring of an application in the process of the test, which listens on one port."""

from aiohttp import web

from shared.process.health import monitoring


def with_monitoring(app: web.Application) -> web.Application:
    """The application with what its monitoring port serves, under ``/monitoring``."""
    app.add_subapp("/monitoring", monitoring(app))
    return app
