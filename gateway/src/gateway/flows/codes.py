"""Codes: sending one to a number, and checking one."""

from uuid import UUID

from prometheus_client import Counter

from gateway.flows.disclosure import FREE, AccountDisclosure, SendTerms, send_terms
from gateway.flows.number_filter.refused_callers import RefusedCallers
from gateway.flows.services import Caller, Services
from gateway.flows.session_cache import Session
from gateway.flows.sessions import SessionFlows
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import (
    ASK_STATUS,
    CHECK_CODE,
    ISSUE_CODE,
    ISSUE_TO_INACTIVE,
    PROOFS,
    AskStatus,
    CheckCode,
    CodeChecked,
    CodeIssued,
    IssueCode,
    Language,
    Purpose,
)
from shared.languages import language_of
from shared.networks import RequestSource
from shared.phone import E164
from shared.process.metric_children import child

LOOK_UPS = Counter(
    "haoma_number_look_ups_total", "Requests for a code to a number that must be free, by who was asked", ["outcome"]
)


class CodeFlows:
    """What sms-service does for a caller."""

    def __init__(self, services: Services, sessions: SessionFlows, disclosure: AccountDisclosure) -> None:
        self._services = services
        self._sessions = sessions
        self._disclosure = disclosure
        self._refused_callers = RefusedCallers()

    async def send(
        self, caller: Caller, number: E164, purpose: Purpose, *, session: Session | None = None
    ) -> CodeIssued:
        """Send a code to a number.

        To register, the number must have no account; for every other purpose it must have one. The exception is
        ``CHANGE_PHONE`` with a ``session``: a number other than the user's own is their new one and must be free.
        Where accounts are disclosed only after proof, no number is refused for that.
        ``ERASE`` and ``EXPORT`` are for the user's own number: raises ``PARAMETER_INVALID`` for another one.

        The message is in the caller's language, or else in the language of the number's country.
        """
        if purpose in PROOFS and (session is None or number != session.account.phone):
            raise ServiceError(ErrorCode.PARAMETER_INVALID, field="phone")
        must_be_free = _must_be_free(purpose, number, session)
        source = caller if session is None else caller.logged_in(session)
        try:
            return await self._send(source, number, purpose, must_be_free=must_be_free)
        except ServiceError as error:
            if error.code is ErrorCode.CALLER_LIMIT:
                self._refused_callers.add(_counted_source(source), error.retry_after)
            raise

    async def _send(self, caller: Caller, number: E164, purpose: Purpose, *, must_be_free: bool) -> CodeIssued:
        if must_be_free and self._assumes_free(caller, number):
            assumed = await self._request(caller, number, purpose, FREE)
            issued = (await self._services.sms.call(ISSUE_TO_INACTIVE, assumed)).issued
            child(LOOK_UPS, "spared" if issued else "active").inc()
            self._services.registered.ask_from_now_on(number)
            if issued is not None:
                return issued
        registered = await self._services.registered.find(number, caller)
        terms = send_terms(self._disclosure, registered, must_be_free=must_be_free)
        return await self._services.sms.call(ISSUE_CODE, await self._request(caller, number, purpose, terms))

    def _assumes_free(self, caller: Caller, number: E164) -> bool:
        """Whether sms-service may be called before auth-service, because the number most likely has no account.

        An account that is not known here yet was registered with a code, or came without one some seconds ago
        (decision 87). What sms-service charges an app cannot be taken back then, so the callers of apps' servers go the
        long way. So do callers over their limit, whose refusals would otherwise tell by their time who has an account.
        """
        if self._disclosure is not AccountDisclosure.CONTRACT or caller.app:
            return False
        is_refused = _counted_source(caller) in self._refused_callers
        is_free = not is_refused and not self._services.registered.may_contain(number)
        if not is_free:
            child(LOOK_UPS, "asked").inc()
        return is_free

    async def _request(self, caller: Caller, number: E164, purpose: Purpose, terms: SendTerms) -> IssueCode:
        return IssueCode(
            phone=number,
            purpose=purpose,
            dialect=caller.dialect,
            client=caller.client,
            address=caller.address,
            app=caller.app,
            user_id=caller.user_id,
            cooldown=caller.cooldown,
            daily_cap=caller.daily_cap,
            refuse=terms.refuse,
            registered=terms.registered,
            known_networks=list(terms.known_networks),
            notice=terms.notice,
            session_phone=await self._sessions.number_shown(caller),
            language=caller.language or Language(language_of(number)),
        )

    async def check(
        self, caller: Caller, purpose: Purpose, code: str, subject: E164 | UUID, *, with_secret: bool = False
    ) -> CodeChecked:
        """Check a code sent to a number, or the code of one verification. Raises ``CODE_REFUSED``.

        A correct code may be checked again: by the same network, for a minute and a few times; or ``with_secret``, if
        the client sends a password or a session in the same call, for ten minutes.
        """
        return await self._services.sms.call(
            CHECK_CODE,
            CheckCode(
                purpose=purpose,
                code=code,
                phone=None if isinstance(subject, UUID) else subject,
                verification_id=subject if isinstance(subject, UUID) else None,
                dialect=caller.dialect,
                address=caller.address,
                app=caller.app,
                user_id=caller.user_id,
                session_phone=await self._sessions.number_shown(caller),
                with_secret=with_secret,
                allow_master_code=caller.allow_master_code,
            ),
        )

    async def check_before_registration(self, caller: Caller, number: E164, code: str) -> CodeChecked:
        """Check a code for a contract that registers in a later call. Raises ``NUMBER_TAKEN`` after registration.

        Only a code that was checked before can have been used to register, so only then is the number looked up.
        """
        checked = await self.check(caller, Purpose.SIGN_UP, code, number)
        if checked.again and await self._services.registered.contains(number, caller):
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        return checked

    async def check_free(self, caller: Caller, number: E164) -> None:
        """Raise the reason why the number cannot register now: ``CALLER_LIMIT``, ``NUMBER_TAKEN`` or ``COOLDOWN``.

        Where accounts are disclosed only after proof, every number counts as free, because nothing proves it here.
        """
        refuse = None
        if self._disclosure is AccountDisclosure.CONTRACT and await self._services.registered.contains(number, caller):
            refuse = ErrorCode.NUMBER_TAKEN
        await self.check_limits(caller, number, refuse)

    async def refuse_missing_account(self, caller: Caller, number: E164) -> None:
        """After an incorrect code, raise ``NO_ACCOUNT`` if the number has no account, or ``CALLER_LIMIT``.

        A number with an account counts towards the limit too; otherwise the limit would reveal which numbers have one.
        Where accounts are disclosed only after proof, raise nothing: an incorrect code proves nothing.
        """
        if self._disclosure is AccountDisclosure.CONTRACT:
            registered = await self._services.registered.contains(number, caller)
            await self.check_limits(caller, number, ErrorCode.CODE_REFUSED if registered else ErrorCode.NO_ACCOUNT)

    async def check_limits(self, caller: Caller, number: E164, refuse: ErrorCode | None) -> None:
        """Raise the first that applies of ``CALLER_LIMIT``, ``refuse`` and ``COOLDOWN``."""
        await self._services.sms.call(
            ASK_STATUS,
            AskStatus(phone=number, address=caller.address, app=caller.app, cooldown=caller.cooldown, refuse=refuse),
        )


def _counted_source(caller: Caller) -> RequestSource:
    return RequestSource(caller.address, caller.app, caller.user_id)


def _must_be_free(purpose: Purpose, number: E164, session: Session | None) -> bool:
    """Whether a code of this purpose is for a number that is to get an account, not for one that has it."""
    if purpose is Purpose.CHANGE_PHONE and session is not None:
        return number != session.account.phone
    return purpose is Purpose.SIGN_UP
