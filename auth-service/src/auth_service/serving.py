"""The command that serves. It imports the application only when it runs."""

from auth_service.settings import AuthSettings
from shared.process import logs
from shared.process.settings import load
from shared.process.tracing.setup import record_spans

SERVICE = "auth-service"
KEEPALIVE_SECONDS = 75.0


def serve() -> None:
    """Serve requests until a signal stops it (the default)."""
    settings = load(AuthSettings, SERVICE)
    logs.configure(SERVICE, settings.log_level)
    from auth_service.app import create_app  # noqa: PLC0415  a wrong setting is told before the large imports
    from shared.process import web  # noqa: PLC0415  as above

    app = create_app(settings)
    record_spans(SERVICE, settings)
    web.run(
        web.serve(
            app,
            host=settings.bind_address,
            port=settings.auth_port,
            monitoring_port=settings.auth_monitoring_port,
            keepalive_seconds=KEEPALIVE_SECONDS,
            withdraw_seconds=settings.withdraw_seconds,
        ),
        SERVICE,
    )
