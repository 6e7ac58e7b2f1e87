"""Numbers of countries that are not served cost nothing, whichever contract they come through."""

import pytest
from support.app import App
from support.database import Tables

from shared.phone import E164

ELSEWHERE = E164("+85261234567")
ASKED = {
    "maitian": ("/v1/user/register/verify_code.json", {"source": "ios", "phone_number": ELSEWHERE}),
    "phone_info": ("/v1/user/sendRegisterMessage", {"countryCode": "852", "phone": "61234567"}),
    "register_page": ("/v1/register/sendCode", {"phone": ELSEWHERE}),
    "tel": ("/actions/sms", {"tel": {"dialCode": 852, "number": 61234567}, "action": "signup"}),
    "native": ("/v2/verifications", {"phone": ELSEWHERE, "purpose": "sign_up"}),
}


@pytest.mark.parametrize("dialect", ASKED)
async def test_a_number_outside_the_allow_list_is_not_sent_to_and_leaves_no_trace(
    app: App, tables: Tables, dialect: str
) -> None:
    path, fields = ASKED[dialect]

    answer = await app.call("POST", path, json=fields)

    assert answer.status in {200, 400, 403, 422}
    assert answer.body.get("success") not in {True, "true"}
    for table in ("number_activity", "verifications", "messages", "attempts"):
        found = f"select count(*) from {table} where phone_ref = $1"
        assert await tables.connections["sms"].fetchval(found, tables.keys.ref(ELSEWHERE)) == 0
