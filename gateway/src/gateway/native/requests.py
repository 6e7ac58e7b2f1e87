"""The bodies of requests."""

from typing import Annotated

from pydantic import Field

from gateway.http.request_parsing import ClientName, Entries, Parameters, Text
from gateway.locales import Locale
from gateway.profiles import Motto, Nickname, Picture
from shared.internal_api.auth import Gender
from shared.internal_api.sms import Purpose

PurposeName = Annotated[Purpose, Field(strict=False)]


class SendCode(Parameters):
    phone: Text
    purpose: PurposeName
    locale: Locale = None
    client: ClientName = "native"


class CheckChallenge(Parameters):
    """The code of one request for a code."""

    code: Text
    challenge: Text


class CheckNumber(Parameters):
    """The code that was sent to a number."""

    code: Text
    phone: Text
    purpose: PurposeName


class Register(Parameters):
    ticket: Text
    password: Text | None = None
    nickname: Nickname | None = None
    client: ClientName = "native"


class LogInWithPassword(Parameters):
    phone: Text
    password: Text
    client: ClientName = "native"


class LogInWithTicket(Parameters):
    ticket: Text
    client: ClientName = "native"


class RefreshTokens(Parameters):
    refresh_token: Text


class ChangePassword(Parameters):
    """A new password for a user who is logged in and knows the current one."""

    current: Text
    password: Text
    client: ClientName = "native"


class ResetPassword(Parameters):
    """A new password for a user who has a ``reset_password`` ticket."""

    ticket: Text
    password: Text
    client: ClientName = "native"


class PasswordProof(Parameters):
    """A user who is logged in confirms with their password."""

    password: Text


class TicketProof(Parameters):
    """A user who is logged in confirms with a ticket of the right purpose."""

    ticket: Text


class EraseWithPassword(PasswordProof):
    """A user who is logged in confirms with their password."""


class EraseWithTicket(TicketProof):
    """A user who is logged in confirms with an ``erase`` ticket."""


class ExportWithPassword(PasswordProof):
    """A user who is logged in confirms with their password."""


class ExportWithTicket(TicketProof):
    """A user who is logged in confirms with an ``export`` ticket."""


class ChangeMe(Parameters):
    """What to change. An empty text is meant to empty the field, and refused where this cannot be."""

    empty_is_absent = False

    nickname: Nickname | None = None
    gender: Annotated[Gender | None, Field(strict=False)] = None
    motto: Motto | None = None
    avatar: Picture | None = None
    discoverable: bool | None = None


class ChangeNumber(Parameters):
    old_ticket: Text
    new_ticket: Text


class MatchContacts(Parameters):
    phones: Entries
