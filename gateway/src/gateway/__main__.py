"""``python -m gateway``: read the settings, configure logs, and serve."""

import argparse

from gateway.app import create_app
from gateway.settings import GatewaySettings
from shared.process import logs, web
from shared.process.settings import load

KEEPALIVE_SECONDS = 15.0


def main() -> None:
    """Serve until a signal ends the process."""
    argparse.ArgumentParser(
        prog="python -m gateway", description="The public API of Haoma. Settings come from the environment."
    ).parse_args()
    settings = load(GatewaySettings, "gateway")
    logs.configure("gateway", settings.log_level)
    app = create_app(settings)
    web.run(
        web.serve(
            app,
            host=settings.bind_address,
            port=settings.gateway_port,
            keepalive_seconds=KEEPALIVE_SECONDS,
            withdraw_seconds=settings.withdraw_seconds,
        ),
        "gateway",
    )


if __name__ == "__main__":
    main()
