"""``python health.py [process]``: exits with 0 if the process of this container responds to ``/livez``."""

import http.client
import os
import sys

PORTS = {
    "gateway": ("GATEWAY_MONITORING_PORT", 9080),
    "auth-service": ("AUTH_MONITORING_PORT", 9081),
    "sms-service": ("SMS_MONITORING_PORT", 9082),
    "contacts-service": ("CONTACTS_MONITORING_PORT", 9083),
    "operator-api": ("OPERATOR_MONITORING_PORT", 9085),
    "sms-worker": ("SMS_WORKER_MONITORING_PORT", 9084),
}
SECONDS = 2


def main() -> int:
    """Send one request. ``http.client`` ignores the proxies that ``urllib`` would take from the environment."""
    variable, default = PORTS[sys.argv[1] if len(sys.argv) > 1 else os.environ["SERVICE"]]
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
