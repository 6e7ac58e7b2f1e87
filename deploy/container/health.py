"""``python health.py``: exits with 0 if the process of this container responds to ``/livez``."""

import http.client
import os
import sys
from pathlib import Path

PORTS = {
    "gateway": ("GATEWAY_MONITORING_PORT", 9080),
    "auth-service": ("AUTH_MONITORING_PORT", 9081),
    "sms-service": ("SMS_MONITORING_PORT", 9082),
    "contacts-service": ("CONTACTS_MONITORING_PORT", 9083),
    "operator-api": ("OPERATOR_MONITORING_PORT", 9085),
    "sms-worker": ("SMS_WORKER_MONITORING_PORT", 9084),
}
SECONDS = 2
FIRST_PROCESS = Path("/proc/1/cmdline")


OTHER_PROCESSES = {"sms-service": ("worker", "sms-worker"), "gateway": ("operator-api", "operator-api")}
"""What else an image runs: the argument, and the process."""


def process(service: str, command: bytes) -> str:
    """The process of a container, as the command line of its first process says: its service, or another one."""
    argument, other = OTHER_PROCESSES.get(service, ("", service))
    return other if argument.encode() in command.split(b"\0") else service


def main() -> int:
    """Send one request. ``http.client`` ignores the proxies that ``urllib`` would take from the environment."""
    variable, default = PORTS[process(os.environ["SERVICE"], FIRST_PROCESS.read_bytes())]
    port = int(os.environ.get(variable) or default)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"no response on port {port}: {error}\n")
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
