"""Numbers and the codes that go to them."""

from datetime import UTC, datetime

from gateway.flows.services import Caller, Services
from shared import phone
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Resolved
from shared.internal_api.sms import CheckCode, CodeChecked, CodeIssued, IssueCode, Language, Purpose
from shared.languages import language_of
from shared.phone import E164


class NumberFlows:
    """What can be asked about a number, and sent to it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def number(self, spelling: str, calling_code: str = phone.MAINLAND) -> E164:
        """The canonical number of a spelling. Raises ``NUMBER_REFUSED`` for a number that is not served."""
        return phone.parse(spelling, calling_code=calling_code, served=self._services.served_calling_codes)

    def seal_number(self, number: E164, purpose: Purpose) -> str:
        """The number as text that says nothing about it, for a client to bring back within ten minutes."""
        return self._services.seal.seal(number, purpose, now=datetime.now(UTC))

    def open_number(self, sealed: str, purpose: Purpose) -> E164:
        """The number that was sealed for this purpose. Raises ``CODE_REFUSED``: forged, or too old."""
        return self._services.seal.open(sealed, purpose, now=datetime.now(UTC))

    async def send_code(
        self,
        caller: Caller,
        number: E164,
        purpose: Purpose,
        *,
        session: Resolved | None = None,
    ) -> CodeIssued:
        """Send a code to a number that may have one.

        It must be free to sign up, and have an account for anything else; only who is logged in may ask for a code
        to the number that he wants to have. The message is in the language that he asks for, else in that of the
        number's country.
        """
        registered = await self._services.registered(number)
        return await self._services.sms.issue(
            IssueCode(
                phone=number,
                purpose=purpose,
                dialect=caller.dialect,
                client=caller.client,
                address=caller.address,
                cooldown=caller.cooldown,
                daily_cap=caller.daily_cap,
                refuse=_unfit(purpose, number, session, registered=registered),
                language=caller.language or Language(language_of(number)),
            )
        )

    async def verify_sign_up(self, caller: Caller, number: E164, code: str) -> CodeChecked:
        """Check a registration code in a contract that registers later, with the ticket this returns.

        A code that is right for the first time has opened no account yet, and none was there when it was sent; only
        one that was right before may have, and is told so.
        """
        call = CheckCode(
            purpose=Purpose.SIGN_UP, code=code, phone=number, dialect=caller.dialect, address=caller.address
        )
        checked = await self._services.sms.check(call)
        if checked.again and await self._services.registered(number):
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        return checked

    async def check_free(self, caller: Caller, number: E164) -> None:
        """Raise ``CALLER_LIMIT``, ``NUMBER_TAKEN`` or ``COOLDOWN`` where the number cannot be signed up with now."""
        registered = await self._services.registered(number)
        await self._services.look_for_code(caller, number, _unfit(Purpose.SIGN_UP, number, None, registered=registered))


def _unfit(purpose: Purpose, number: E164, session: Resolved | None, *, registered: bool) -> ErrorCode | None:
    """Why a number may not have a code for this purpose, if it may not."""
    wants_it_free = purpose is Purpose.SIGN_UP
    if purpose is Purpose.CHANGE_PHONE and session is not None:
        wants_it_free = number != session.account.phone
    if registered:
        return ErrorCode.NUMBER_TAKEN if wants_it_free else None
    return None if wants_it_free else ErrorCode.NO_ACCOUNT
