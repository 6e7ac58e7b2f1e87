"""The consumer of erased accounts: forgets the codes of their numbers, and from which networks they were asked for."""

from datetime import datetime
from typing import Protocol

import structlog
from pydantic import AwareDatetime, ValidationError

from shared.amqp import Handler, PoisonError, Queue
from shared.events.catalogue import UserDeleted
from shared.events.envelope import CloudEvent
from shared.phone import ref_from_hex
from shared.trace import Cause, consuming

QUEUE = Queue("sms.erasure", (UserDeleted.key,))

log = structlog.get_logger()


class ErasureRepository(Protocol):
    """Where numbers are forgotten. Repeating it changes nothing."""

    async def forget(self, phone_ref: int, erased_at: datetime) -> int:
        """Delete the verifications from before the erasure, and the networks of the number. Returns how many."""


class _UserDeleted(CloudEvent[UserDeleted]):
    time: AwareDatetime


def handler(repository: ErasureRepository) -> Handler:
    """A handler of ``auth.user.deleted``. It raises ``PoisonError`` for a message that is no such event."""

    async def handle(body: bytes) -> None:
        try:
            event = _UserDeleted.model_validate_json(body)
            if not event.data.phone_ref:  # a retired account: its former number may be someone else's
                return
            phone_ref = ref_from_hex(event.data.phone_ref)
        except ValidationError as error:
            raise PoisonError(f"not an erasure: {error.error_count()} invalid fields") from None
        except ValueError:
            raise PoisonError("not a phone reference") from None
        with consuming(QUEUE.name, Cause(event.requestid or "", event.traceparent or "")):
            forgotten = await repository.forget(phone_ref, event.time)
            log.info("number.forgotten", verifications=forgotten)

    return handle
