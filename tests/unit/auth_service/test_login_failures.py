"""The events about failed log-ins are made of every action that a refused password or code writes, and of no other."""

from auth_service.erasure.erasure import REFUSED_ERASURES
from auth_service.lifecycle.self_service import REFUSED_CHANGES
from auth_service.login_events.model import FAILURES
from auth_service.personal_data.personal_data import REFUSED_EXPORTS
from auth_service.sessions import code_login
from auth_service.sessions.password_login import REFUSED_LOG_INS


def test_every_refused_password_or_code_has_an_event() -> None:
    tables = (REFUSED_LOG_INS, REFUSED_CHANGES, REFUSED_ERASURES, REFUSED_EXPORTS)
    written = {action for table in tables for action in table.values()}

    assert set(FAILURES) == written | {code_login.REFUSED, code_login.BANNED}
