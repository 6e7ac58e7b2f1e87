"""All that a user of `/v2` does, with a generated Python client: package ``haoma``, by openapi-python-client.

Asks the test for codes, and to let time pass: a line on the output is a question, a line on the input its answer.
"""

import os
import sys
from typing import TypeVar, cast

from haoma import AuthenticatedClient, Client
from haoma.api.native import (
    change_me,
    change_number,
    check_code,
    end_other_sessions,
    erase_me,
    export_me,
    list_sessions,
    log_in,
    match_contacts,
    refresh,
    register,
    send_code,
    set_password,
    show_me,
)
from haoma.models import (
    Account,
    ChangeMe,
    ChangeNumber,
    ChangePassword,
    CheckChallenge,
    CheckNumber,
    CodeChecked,
    CodeRefusedOrCredentialsRefusedOrAccountBannedProblem,
    CodeRefusedOrCredentialsRefusedOrAccountBannedProblemCode,
    CodeRefusedOrCredentialsRefusedOrProofRequiredProblem,
    CodeRefusedProblem,
    CodeSent,
    CooldownOrDailyCapOrCallerLimitProblem,
    CooldownOrDailyCapOrCallerLimitProblemCode,
    EraseWithPassword,
    EraseWithTicket,
    ExportWithPassword,
    LogInWithPassword,
    LogInWithTicket,
    MatchContacts,
    Matched,
    NumberRefusedOrPasswordCharactersOrPasswordLengthProblem,
    NumberTakenProblem,
    ParameterMissingOrParameterInvalidProblem,
    PersonalData,
    Purpose,
    RefreshTokens,
    Register,
    Registered,
    ResetPassword,
    SendCode,
    SessionList,
    Tokens,
    UnauthenticatedOrAppKeyRefusedProblem,
)
from haoma.models.gender import Gender

GATEWAY, NUMBER, MOVED = os.environ["GATEWAY"], os.environ["NUMBER"], os.environ["MOVED"]
ResponseT = TypeVar("ResponseT")

anyone = Client(base_url=GATEWAY)
without_session = cast("AuthenticatedClient", anyone)
"""The same, for calls that may have a session: the generator declares that they need one."""


def logged_in(tokens: Tokens) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=GATEWAY, token=tokens.access_token)


def a(kind: type[ResponseT], response: object) -> ResponseT:
    """The response, if it is of this kind."""
    assert isinstance(response, kind), response
    return response


def answer_to(question: str) -> str:
    print(question, flush=True)
    return sys.stdin.readline().strip()


def send(phone: str, purpose: Purpose, client: AuthenticatedClient = without_session) -> CodeSent:
    return a(CodeSent, send_code.sync(client=client, body=SendCode(phone=phone, purpose=purpose)))


def ticket(phone: str, purpose: Purpose, client: AuthenticatedClient = without_session) -> str:
    """The ticket for the code of a new message."""
    answer_to(f"age {phone}")
    body = CheckChallenge(challenge=send(phone, purpose, client).challenge, code=answer_to(f"code {phone}"))
    return a(CodeChecked, check_code.sync(client=anyone, body=body)).ticket


# A code: a wrong one leaves four tries, the right one gives a ticket, and a second message has to wait.
sent = send(NUMBER, Purpose.SIGN_UP)
code = answer_to(f"code {NUMBER}")
wrong = f"{(int(code) + 1) % 1_000_000:06d}"
refused = a(
    CodeRefusedProblem, check_code.sync(client=anyone, body=CheckChallenge(challenge=sent.challenge, code=wrong))
)
assert refused.tries_left == 4
checked = check_code.sync(client=anyone, body=CheckNumber(phone=NUMBER, purpose=Purpose.SIGN_UP, code=code))
sign_up = a(CodeChecked, checked)
early = a(
    CooldownOrDailyCapOrCallerLimitProblem,
    send_code.sync(client=without_session, body=SendCode(phone=NUMBER, purpose=Purpose.SIGN_UP)),
)
assert early.code is CooldownOrDailyCapOrCallerLimitProblemCode.COOLDOWN
assert isinstance(early.retry_after, int)

# Registration, and the same number once more.
created = register.sync(client=anyone, body=Register(ticket=sign_up.ticket, password="correct horse", nickname="Anna"))
account = a(Registered, created).account
assert (account.phone, account.nickname) == (f"+86{NUMBER}", "Anna")
assert account.user_id > 2**31
answer_to(f"age {NUMBER}")
a(NumberTakenProblem, send_code.sync(client=without_session, body=SendCode(phone=NUMBER, purpose=Purpose.SIGN_UP)))

# Log-in, with a wrong password, with the right one, and with a code.
guess = log_in.sync(client=anyone, body=LogInWithPassword(phone=NUMBER, password="wrong horse"))
guessed = a(CodeRefusedOrCredentialsRefusedOrAccountBannedProblem, guess)
assert guessed.code is CodeRefusedOrCredentialsRefusedOrAccountBannedProblemCode.CREDENTIALS_REFUSED
tokens = a(Tokens, log_in.sync(client=anyone, body=LogInWithPassword(phone=NUMBER, password="correct horse")))
by_code = log_in.sync(client=anyone, body=LogInWithTicket(ticket=ticket(NUMBER, Purpose.SIGN_IN), client="watch"))
a(Tokens, by_code)
tokens = a(Tokens, refresh.sync(client=anyone, body=RefreshTokens(refresh_token=tokens.refresh_token)))
me = logged_in(tokens)
sessions = a(SessionList, list_sessions.sync(client=me)).sessions
assert [session.client for session in sessions if not session.current] == ["watch", "native"]

# The account, with a change that is refused, and friends.
assert a(Account, show_me.sync(client=me)).user_id == account.user_id
assert a(Account, change_me.sync(client=me, body=ChangeMe(motto="hello", gender=Gender.FEMALE))).motto == "hello"
bad = a(ParameterMissingOrParameterInvalidProblem, change_me.sync(client=me, body=ChangeMe(nickname="x" * 33)))
assert bad.field == "nickname"
matched = a(Matched, match_contacts.sync(client=me, body=MatchContacts(phones=["no number", NUMBER])))
assert matched.matches == []

# Passwords: the one who knows it keeps the session, the one with a ticket opens a new one.
short = set_password.sync(client=me, body=ChangePassword(current="correct horse", password="short"))
assert a(NumberRefusedOrPasswordCharactersOrPasswordLengthProblem, short).field == "password"
changed = set_password.sync(client=me, body=ChangePassword(current="correct horse", password="battery staple"))
me = logged_in(a(Tokens, changed))
assert len(a(SessionList, list_sessions.sync(client=me)).sessions) == 1
reset = ResetPassword(ticket=ticket(NUMBER, Purpose.RESET_PASSWORD), password="correct horse")
tokens = a(Tokens, set_password.sync(client=without_session, body=reset))
a(UnauthenticatedOrAppKeyRefusedProblem, show_me.sync(client=me))
me = logged_in(tokens)

# A new number, for which both have a code.
old, new = ticket(NUMBER, Purpose.CHANGE_PHONE, me), ticket(MOVED, Purpose.CHANGE_PHONE, me)
moved = a(Account, change_number.sync(client=me, body=ChangeNumber(old_ticket=old, new_ticket=new)))
assert moved.phone == f"+86{MOVED}"

# A copy of the data: no session suffices for it.
a(
    CodeRefusedOrCredentialsRefusedOrProofRequiredProblem,
    export_me.sync(client=me, body=ExportWithPassword(password="battery staple")),
)
copied = a(PersonalData, export_me.sync(client=me, body=ExportWithPassword(password="correct horse")))
assert (copied.account.user_id, copied.account.nickname) == (
    account.user_id,
    a(Account, show_me.sync(client=me)).nickname,
)
assert copied.activity[0].action == "register.succeeded"

# The end.
a(Tokens, log_in.sync(client=anyone, body=LogInWithPassword(phone=MOVED, password="correct horse")))
assert end_other_sessions.sync_detailed(client=me).status_code == 204
assert len(a(SessionList, list_sessions.sync(client=me)).sessions) == 1
a(
    CodeRefusedOrCredentialsRefusedOrProofRequiredProblem,
    erase_me.sync(client=me, body=EraseWithPassword(password="battery staple")),
)
erased = erase_me.sync_detailed(client=me, body=EraseWithTicket(ticket=ticket(MOVED, Purpose.ERASE, me)))
assert erased.status_code == 204
a(UnauthenticatedOrAppKeyRefusedProblem, show_me.sync(client=me))
a(
    UnauthenticatedOrAppKeyRefusedProblem,
    refresh.sync(client=anyone, body=RefreshTokens(refresh_token=tokens.refresh_token)),
)
print("the end")
