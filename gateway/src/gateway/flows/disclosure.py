"""When a contract tells whether a number has an account: in its first step, or only after the right code."""

from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum

from gateway.flows.registered_numbers import RegisteredNumber
from shared.errors import ErrorCode
from shared.internal_api.sms import AccountNotice
from shared.values import value


class AccountDisclosure(StrEnum):
    """The setting ``ACCOUNT_DISCLOSURE``."""

    CONTRACT = "contract"
    """As the contracts write: requests for a code, and reset with a wrong code, tell whether the number has one."""
    AFTER_PROOF = "after_proof"
    """Only the right code brings that answer. The message with the code tells the owner of the number before."""


@value
class SendTerms:
    """What of an account matters for sending a code. The fields are those of ``IssueCode``."""

    refuse: ErrorCode | None
    notice: AccountNotice
    registered: bool
    known_networks: Sequence[int] = field(default=(), repr=False)


FREE = SendTerms(None, AccountNotice.NONE, registered=False)
"""The terms for a number that is to be free, and is."""


def send_terms(disclosure: AccountDisclosure, number: RegisteredNumber | None, *, must_be_free: bool) -> SendTerms:
    """The terms for a number, which is None if it has no account.

    After proof, they differ by an account only in what the caller cannot see: in the text of the message, and in the
    networks whose callers have tries and sends of their own.
    """
    if disclosure is AccountDisclosure.AFTER_PROOF:
        return _terms_after_proof(number, must_be_free=must_be_free)
    if number is None:
        return SendTerms(None if must_be_free else ErrorCode.NO_ACCOUNT, AccountNotice.NONE, registered=False)
    refuse = ErrorCode.NUMBER_TAKEN if must_be_free else None
    return SendTerms(refuse, AccountNotice.NONE, registered=True, known_networks=number.known_networks)


def _terms_after_proof(number: RegisteredNumber | None, *, must_be_free: bool) -> SendTerms:
    if must_be_free:
        notice = AccountNotice.NONE if number is None else AccountNotice.REGISTERED
        return SendTerms(None, notice, registered=False)
    if number is None:
        return SendTerms(None, AccountNotice.NO_ACCOUNT, registered=True)
    return SendTerms(None, AccountNotice.NONE, registered=True, known_networks=number.known_networks)
