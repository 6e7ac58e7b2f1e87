"""A request for a number of a country that is not served costs nothing, through every contract."""

import pytest
from support.app import App
from support.database import Tables

from shared.phone import E164

ELSEWHERE = E164("+85261234567")
REQUESTS = {
    "maitian": ("/v1/user/register/verify_code.json", {"source": "ios", "phone_number": ELSEWHERE}),
    "phone_info": ("/v1/user/sendRegisterMessage", {"countryCode": "852", "phone": "61234567"}),
    "register_page": ("/v1/register/sendCode", {"phone": ELSEWHERE}),
    "tel": ("/actions/sms", {"tel": {"dialCode": 852, "number": 61234567}, "action": "signup"}),
    "native": ("/v2/verifications", {"phone": ELSEWHERE, "purpose": "sign_up"}),
}


@pytest.mark.parametrize("dialect", REQUESTS)
async def test_a_number_of_a_country_that_is_not_served_leaves_no_rows(app: App, tables: Tables, dialect: str) -> None:
    path, fields = REQUESTS[dialect]

    answer = await app.call("POST", path, json=fields)

    assert answer.status in {200, 400, 403, 422}
    assert answer.body.get("success") not in {True, "true"}
    for table in ("number_activity", "verifications", "messages", "attempts"):
        found = f"select count(*) from {table} where phone_ref = $1"
        assert await tables.connections["sms"].fetchval(found, tables.keys.ref(ELSEWHERE)) == 0
