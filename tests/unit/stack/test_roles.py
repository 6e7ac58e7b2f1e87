"""The roles on RabbitMQ have the rights that the code of their services uses."""

import json
import re

import pytest
from stack.roles.catalogue import FOLDER

from contacts_service.consumer import QUEUE as DIRECTORY
from shared.amqp import Queue
from sms_service.erasure.consumer import QUEUE as ERASURE


@pytest.mark.parametrize(("user", "queue"), [("contacts_service", DIRECTORY), ("sms_service", ERASURE)])
def test_a_role_may_bind_its_queue_to_every_event_that_its_consumer_takes(user: str, queue: Queue) -> None:
    definitions = json.loads((FOLDER / "rabbitmq.json").read_text())
    (read,) = [
        each["read"]
        for each in definitions["topic_permissions"]
        if (each["user"], each["exchange"]) == (user, "events")
    ]
    assert queue.keys
    assert [key for key in queue.keys if not re.search(read, key)] == []
