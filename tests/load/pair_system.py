"""The system of one checkout, started by that checkout's own code: ``make bench-pair`` runs this file in two of them.

It imports only what older checkouts have too. It prints one line of JSON when the system is ready, and stops the system when its
standard input ends, as it does when the process that started it is gone.
"""

import asyncio
import json
import sys

from load.operations import seed_directory
from stack.system import Stack

PROCESSES = ("auth-service", "sms-service", "contacts-service", "sms-worker", "gateway")
MEMBERS = 5000
"""How many members of the directory are told to the client, picked from all of it."""


def main() -> None:
    with Stack.private(environ=json.loads(sys.argv[1])) as stack:
        stack.start_servers(then=stack.migrate)
        members = asyncio.run(seed_directory(stack)) if sys.argv[2] == "seeded" else []
        stack.start_services(PROCESSES)
        ready = {
            "gateway": stack.url("gateway"),
            "sms": stack.url("sms-service"),
            "pids": {name: stack.services[name].pid for name in PROCESSES},
            "members": members[:: max(1, len(members) // MEMBERS)],
        }
        print(json.dumps(ready), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
