"""Problem documents: their language and their fields."""

import json

import pytest

from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.problems import ACCEPT_LANGUAGE, BODY_DETAILS, MAX_TRIES_LEFT, TEXTS, LogInLimitError, problem
from gateway.passwords import CommonPasswordError
from shared.errors import STATUS, ErrorCode, ServiceError
from shared.languages import language_for
from sms_service.verification.limits import TRIES_PER_CODE


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9", "en"),
        ("EN", "en"),
        ("de, en;q=0.5", "en"),
        ("zh;q=0.2, en;q=0.7", "en"),
        ("en;q=0", "zh"),
        ("*", "zh"),
        ("english, enx", "en"),
        ("anglais, enx", "zh"),
        ("en;q=2", "en"),
        ("en;q=nan,\x00", "en"),
        ("," * 5000 + "en", "zh"),
    ],
)
def test_the_language_is_the_supported_one_that_the_client_prefers(accepted: str, language: str) -> None:
    assert language_for(accepted) == language


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("code", ErrorCode)
def test_every_refusal_has_a_text_in_every_language(code: ErrorCode, language: str) -> None:
    token = ACCEPT_LANGUAGE.set(language)
    response = problem(ServiceError(code, retry_after=0, field="phone"))
    ACCEPT_LANGUAGE.reset(token)

    title, detail = TEXTS[language][code]
    assert json.loads(response.body) == {
        "type": f"urn:haoma:problem:{code.value}",
        "title": title,
        "status": STATUS[code],
        "detail": detail,
        "code": code.value,
        "retry_after": 1,
        "field": "phone",
    }
    assert (response.status, response.headers["Content-Language"]) == (STATUS[code], language)
    assert response.headers["Retry-After"] == "1"
    assert ("WWW-Authenticate" in response.headers) == (response.status == 401)


@pytest.mark.parametrize("language", TEXTS)
def test_each_detail_tells_its_refusal_from_all_others(language: str) -> None:
    """A page shows the detail without the title."""
    details = [detail for _, detail in TEXTS[language].values()]
    assert len(set(details)) == len(details)


@pytest.mark.parametrize("language", TEXTS)
def test_the_holder_of_a_challenge_reads_whether_to_try_again(language: str) -> None:
    token = ACCEPT_LANGUAGE.set(language)
    refusals = [ServiceError(ErrorCode.CODE_REFUSED, tries_left=left) for left in (None, 4, 1, 0)]
    refusals.append(ServiceError(ErrorCode.CODE_REFUSED, is_limited=True))
    documents = [json.loads(problem(refusal).body) for refusal in refusals]
    ACCEPT_LANGUAGE.reset(token)

    assert [document.get("tries_left") for document in documents] == [None, 4, 1, 0, None]
    assert "is_limited" not in documents[-1]
    details = [document["detail"] for document in documents]
    assert len(set(details)) == 5
    assert "4" in details[1]
    assert "1" in details[2]
    assert not any(digit in details[3] for digit in "0123456789")


def test_the_document_allows_as_many_tries_as_a_code_has() -> None:
    assert MAX_TRIES_LEFT == TRIES_PER_CODE - 1


@pytest.mark.parametrize("language", BODY_DETAILS)
@pytest.mark.parametrize("fault", BodyFault)
def test_a_body_that_cannot_be_read_is_explained_in_every_language(fault: BodyFault, language: str) -> None:
    token = ACCEPT_LANGUAGE.set(language)
    response = problem(BodyError(fault))
    ACCEPT_LANGUAGE.reset(token)

    body = json.loads(response.body)
    assert (body["status"], body["code"]) == (400, "parameter_invalid")
    assert body["detail"] == BODY_DETAILS[language][fault]


@pytest.mark.parametrize("language", TEXTS)
def test_a_limited_log_in_and_a_common_password_say_what_helps(language: str) -> None:
    token = ACCEPT_LANGUAGE.set(language)
    documents = [json.loads(problem(refusal).body) for refusal in (LogInLimitError(48), CommonPasswordError())]
    plain = [json.loads(problem(ServiceError(ErrorCode(document["code"]))).body) for document in documents]
    ACCEPT_LANGUAGE.reset(token)

    assert [document["code"] for document in documents] == ["caller_limit", "password_length"]
    assert documents[0]["retry_after"] == 48
    assert all(document["detail"] != other["detail"] for document, other in zip(documents, plain, strict=True))
