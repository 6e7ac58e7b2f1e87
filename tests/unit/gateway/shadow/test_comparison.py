"""The comparison of two answers: which differences are named, and that no private value is quoted."""

import json
from typing import Any

import pytest

from gateway.dialect_registry import installed_dialects
from gateway.shadow.differences.comparison import AnswerComparer, Comparison, Difference, Kind
from gateway.shadow.recorded.answers import ReceivedAnswer
from gateway.shadow.recorded.calls import CallTable, ContractCall
from gateway.shadow.recorded.known_values import KnownValues

TABLE = CallTable(installed_dialects())
TOKEN, OTHER_TOKEN = "T" * 43, "U" * 32
USER = {
    "user_id": "100015",
    "nick_name": "用户100015",
    "create_time": "1551752430",
    "avatar_thumnail": "",
    "avatar": "",
    "phone_number": "13800138000",
    "cover_img": "",
    "token": TOKEN,
}
REFUSED = {"error_code": "20000", "error_message": "密码错误"}
ACCOUNT = {
    "user_id": 100015,
    "phone": "+8613800138000",
    "nickname": "Ada",
    "gender": "none",
    "motto": "",
    "avatar": "",
    "discoverable": True,
    "created_at": "2026-11-20T08:00:00Z",
}


def call(method: str, path: str) -> ContractCall:
    found = TABLE.find(method, path)
    assert found is not None
    return found


LOG_IN = call("POST", "/v1/user/login.json")
SHOW_ME = call("GET", "/v2/me")


def answer(body: Any, status: int = 200, **headers: str) -> ReceivedAnswer:
    return ReceivedAnswer(status, headers, json.dumps(body).encode())


def compare(
    of: ContractCall, recorded: Any, haoma: Any, known: KnownValues | None = None, *, is_new: bool = False
) -> Comparison:
    comparer = AnswerComparer(known or KnownValues())
    return comparer.compare(of, answer(recorded), answer(haoma), is_new=is_new)


def test_a_new_token_is_no_difference_and_is_remembered() -> None:
    found = compare(LOG_IN, {**USER, "token": OTHER_TOKEN}, USER)
    assert (found.differences, found.tokens, found.is_success) == ([], {OTHER_TOKEN: TOKEN}, True)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"nick_name": "Ada"}, Difference("nick_name", Kind.VALUE, "text of 3 characters", "text of 8 characters")),
        ({"user_id": "7"}, Difference("user_id", Kind.VALUE, "text of 1 digits", "text of 6 digits")),
        ({"user_id": 100015}, Difference("user_id", Kind.TYPE, "number of 6 digits", "text of 6 digits")),
        ({"create_time": "1551752431"}, Difference("create_time", Kind.VALUE, *["text of 10 digits"] * 2)),
        ({"avatar": None}, Difference("avatar", Kind.TYPE, "null", "empty text")),
        ({"token": ""}, Difference("token", Kind.FORM, "empty text", "text of 43 characters")),
        ({"vip": 3}, Difference("vip (not of the contract)", Kind.MISSING, "3", "nothing")),
        ({"id13800138000": 3}, Difference("(a name) (not of the contract)", Kind.MISSING, "3", "nothing")),
    ],
)
def test_a_field_that_differs_is_named(changes: dict[str, Any], difference: Difference) -> None:
    assert compare(LOG_IN, {**USER, **changes}, USER).differences == [difference]


def test_a_field_that_the_recorded_answer_lacks_is_extra() -> None:
    recorded = {name: value for name, value in USER.items() if name != "cover_img"}
    assert compare(LOG_IN, recorded, USER).differences == [Difference("cover_img", Kind.EXTRA, "nothing", "empty text")]


def test_a_success_and_a_refusal_are_one_difference_with_the_words_of_the_contract() -> None:
    (found,) = compare(LOG_IN, USER, REFUSED).differences
    refusal = 'refusal (HTTP 200: error_code "20000", error_message "密码错误")'
    assert found == Difference("(outcome)", Kind.VALUE, "success (HTTP 200)", refusal)


def test_another_refusal_is_named_and_words_of_the_other_back_end_are_not_quoted() -> None:
    found = compare(LOG_IN, {"error_code": "20003", "error_message": "13800138000 wait"}, REFUSED).differences
    assert found == [
        Difference("error_code", Kind.VALUE, '"20003"', '"20000"'),
        Difference("error_message", Kind.VALUE, "text of 16 characters", '"密码错误"'),
    ]


def test_an_account_that_registered_in_the_recording_has_another_id_and_time_and_nickname() -> None:
    recorded = {**USER, "user_id": "900001", "nick_name": "用户900001", "create_time": "1551750000"}
    found = compare(LOG_IN, recorded, USER, KnownValues(registered={"+8613800138000"}))
    assert (found.differences, found.ids) == ([], {"900001": "100015"})


@pytest.mark.parametrize("changes", [{"avatar": "https://a.example/12345.png"}, {"cover_img": "12345"}])
def test_only_a_nickname_may_have_another_id_in_it(changes: dict[str, str]) -> None:
    haoma = {**USER, **{name: value.replace("12345", "67890") for name, value in changes.items()}}
    found = compare(LOG_IN, {**USER, **changes}, haoma, KnownValues(registered={"+8613800138000"}))
    assert [each.field for each in found.differences] == list(changes)


def test_a_refusal_of_a_new_account_is_compared_as_every_other() -> None:
    found = compare(LOG_IN, {**REFUSED, "error_code": "20009"}, REFUSED, is_new=True)
    assert [each.field for each in found.differences] == ["error_code"]


def test_an_id_that_was_seen_before_must_be_the_same_again() -> None:
    known = KnownValues(ids={"900001": "100016"})
    found = compare(LOG_IN, {**USER, "user_id": "900001", "nick_name": "用户100015"}, USER, known, is_new=True)
    assert [each.field for each in found.differences] == ["user_id"]


def test_the_number_of_an_object_says_whether_its_account_is_new() -> None:
    contacts = call("POST", "/v1/user/register/check_contact.json")
    recorded, haoma = (
        {"success": "true", "data": [{"phone": "138 0013 8000", "nickName": f"用户{number}", "portrait": ""}]}
        for number in (900001, 100015)
    )
    known = KnownValues(registered={"+8613800138000"})
    assert compare(contacts, recorded, haoma, known).differences == []
    (found,) = compare(contacts, recorded, haoma).differences
    assert (found.field, found.kind) == ("data[].nickName", Kind.VALUE)


def test_lists_have_the_same_length() -> None:
    contacts = call("POST", "/v1/user/register/check_contact.json")
    recorded, haoma = {"success": "true", "data": []}, {"success": "true", "data": [{}]}
    assert compare(contacts, recorded, haoma).differences == [Difference("data", Kind.VALUE, "list of 0", "list of 1")]


@pytest.mark.parametrize(
    ("recorded", "haoma", "is_alike"),
    [(1796025600000, 1796025609999, True), (1796025600, 1796025609999, False), ("1796025600", 1796025609999, False)],
)
def test_times_of_an_answer_are_compared_by_their_form(recorded: Any, haoma: Any, is_alike: bool) -> None:
    sign_in = call("POST", "/users/signin")
    refusals = ({"timestamp": each, "code": 403, "error": "手机号格式不正确。"} for each in (recorded, haoma))
    assert (compare(sign_in, *refusals).differences == []) is is_alike


def test_the_status_and_the_media_type_are_compared() -> None:
    comparer = AnswerComparer(KnownValues())
    recorded = answer(ACCOUNT, 200, **{"content-type": "text/html"})
    haoma = answer(ACCOUNT, 201, **{"content-type": "application/json; charset=utf-8"})
    found = comparer.compare(SHOW_ME, recorded, haoma, is_new=False).differences
    assert [each.field for each in found] == ["(status)", "header content-type"]


def test_tokens_in_headers_are_compared_and_remembered() -> None:
    sign_in, user = call("POST", "/users/signin"), {"userId": 1, "nickName": "A", "tel": {"dialCode": 86, "number": 1}}
    comparer = AnswerComparer(KnownValues())
    recorded = answer(user, authorization=f"Bearer {OTHER_TOKEN}")
    haoma = answer(user, **{"authorization": f"Bearer {TOKEN}", "set-cookie": f"session={TOKEN}; HttpOnly"})
    found = comparer.compare(sign_in, recorded, haoma, is_new=False)
    assert found.tokens == {OTHER_TOKEN: TOKEN}
    assert found.differences == [Difference("header set-cookie", Kind.EXTRA, "none", "a token")]


def test_a_body_that_is_no_json_is_one_difference() -> None:
    comparer = AnswerComparer(KnownValues())
    found = comparer.compare(SHOW_ME, ReceivedAnswer(200, {}, b"<html>"), answer(ACCOUNT), is_new=False)
    assert found.differences == [Difference("(body)", Kind.FORM, "no JSON", "JSON")]


def test_no_private_value_is_quoted() -> None:
    private = {"phone": "+8613900000000", "nickname": "Bob Jones", "motto": "call 13900000000", "user_id": 987654321012}
    found = compare(SHOW_ME, {**ACCOUNT, **private}, ACCOUNT).differences
    assert {each.field for each in found} == private.keys()
    for value in (*private.values(), *ACCOUNT.values()):
        if len(str(value)) > 2 and str(value) not in {"none", "True"}:
            assert str(value) not in str(found)
