"""Recorded requests are written again with other values, and byte for byte where nothing changed."""

import json
from typing import Any

import pytest

from gateway.dialect_registry import installed_dialects
from gateway.shadow.recorded.calls import CallTable
from gateway.shadow.recorded.field_roles import Role
from gateway.shadow.recorded.recording import RecordedCall
from gateway.shadow.recorded.requests import Request, rewritten, values_of

TABLE = CallTable(installed_dialects())
NEW = {"old": "new", "100015": "200020", "123456": "654321"}
MULTIPART = (
    '--b\r\nContent-Disposition: form-data; name="tmp_token"\r\n\r\n{}\r\n--b\r\n'
    'Content-Disposition: form-data; name="pwd"\r\n\r\nx old\r\n--b--\r\n'
)
FORM = "application/x-www-form-urlencoded"


def recorded(method: str, path: str, body: str = "", **headers: str) -> RecordedCall:
    fields = {"method": method, "path": path, "body": body, "headers": headers, "response": {"status": 200}}
    return RecordedCall.model_validate(fields)


def change(role: Role, value: Any) -> Any:
    if role in {Role.TOKEN, Role.ID, Role.CODE, Role.OWN_CODE}:
        changed = NEW.get(str(value), str(value))
        return int(changed) if isinstance(value, int) else changed
    return value


def sent(call: RecordedCall) -> Request:
    found = TABLE.find(call.method, call.path)
    assert found is not None
    return rewritten(found, call, change)


def test_values_of_json_keep_their_types() -> None:
    body = json.dumps({"source": "old", "userId": 100015, "token": "old", "phoneNumbers": ["100015", "old"]})
    call = recorded("POST", "/v1/user/register/check_contact.json", body, **{"Content-Type": "application/json"})
    assert json.loads(sent(call).body) == {
        "source": "old", "userId": 200020, "token": "new", "phoneNumbers": ["100015", "old"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (
            FORM,
            "source=a&phone_number=%2B86+1&pwd=old&tmp_token=old",
            "source=a&phone_number=%2B86+1&pwd=old&tmp_token=new",
        ),
        (
            "multipart/form-data; boundary=b",
            MULTIPART.format("old"),
            MULTIPART.format("new"),
        ),
    ],
)
def test_values_of_forms_are_replaced_where_they_stand(content_type: str, body: str, expected: str) -> None:
    call = recorded("POST", "/v1/user/register/new_user.json", body, **{"Content-Type": content_type})
    assert sent(call).body == expected.encode()


def test_values_of_the_path_of_the_query_and_of_headers_are_replaced() -> None:
    headers = {"Authorization": "Bearer old", "Cookie": "a=old; session=old", "Host": "old.example", "X-App": "old"}
    request = sent(recorded("GET", "/users/100015", **headers))
    assert request.target == "/users/200020"
    assert request.headers == {"authorization": "Bearer new", "cookie": "a=old; session=new", "x-app": "old"}
    query = "/v1/user/register/verify.json?source=a&verify_code=123456&phone_number=1"
    assert sent(recorded("GET", query)).target == query.replace("123456", "654321")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", ' {"phone" : "1","phone":"2"}'),
        ("application/json", "{"),
        ("application/json", '{"code": NaN}'),
        ("text/plain", "ticket=old"),
        ("multipart/form-data", "ticket=old"),
        ("multipart/form-data; boundary=b", "--b\r\nbroken"),
        (FORM, "a=%ff&&b"),
        ("", "ticket=old"),
    ],
)
def test_a_body_without_changes_or_that_cannot_be_read_stays_as_it_is(content_type: str, body: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert sent(recorded("POST", "/v2/accounts", body, **headers)).body == body.encode()


def test_the_address_of_the_client_is_sent_along() -> None:
    fields = {"method": "GET", "path": "/v2/me", "address": "203.0.113.7", "response": {"status": 200}}
    call = RecordedCall.model_validate({**fields, "headers": {"X-Forwarded-For": "198.51.100.1"}})
    assert sent(call).headers == {"x-forwarded-for": "203.0.113.7"}


def test_the_values_of_a_request_are_found_with_their_roles() -> None:
    body = json.dumps({"tel": {"dialCode": 852, "number": 51234567}, "captcha": 123456, "oldCaptcha": "654321"})
    headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": "Bearer t"}
    call = recorded("PUT", "/users/100015/tel", body, **headers)
    found = TABLE.find(call.method, call.path)
    assert found is not None
    assert values_of(found, call) == [
        (Role.CALLING_CODE, 852),
        (Role.NUMBER, 51234567),
        (Role.CODE, 123456),
        (Role.OWN_CODE, "654321"),
        (Role.ID, "100015"),
        (Role.TOKEN, "t"),
    ]
