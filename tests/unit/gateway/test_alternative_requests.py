"""A body of two kinds is read as the first if it is complete, and else as the kind that more of its fields belong to."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from gateway.flows.services import Proof
from gateway.http.request_parsing import Parameters, read_one_of
from gateway.native.proofs import read_proof
from gateway.native.requests import (
    ChangePassword,
    CheckChallenge,
    CheckNumber,
    EraseWithPassword,
    EraseWithTicket,
    LogInWithPassword,
    LogInWithTicket,
    ResetPassword,
)
from shared.errors import ErrorCode, ServiceError

LOG_IN, CHECK, SET = (
    (LogInWithPassword, LogInWithTicket),
    (CheckChallenge, CheckNumber),
    (ChangePassword, ResetPassword),
)


def request_with(body: bytes, media_type: str = "application/json") -> web.Request:
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    content.feed_data(body)
    content.feed_eof()
    return make_mocked_request("POST", "/", headers={"Content-Type": media_type}, payload=content)


async def read(models: tuple[type[Parameters], type[Parameters]], fields: dict[str, Any]) -> Parameters:
    return await read_one_of(request_with(json.dumps(fields).encode()), *models)


@pytest.mark.parametrize(
    ("models", "fields", "expected"),
    [
        (LOG_IN, {"phone": "1", "password": "2"}, LogInWithPassword),
        (LOG_IN, {"ticket": "1"}, LogInWithTicket),
        (LOG_IN, {"ticket": "1", "client": "watch", "unknown": 1}, LogInWithTicket),
        (CHECK, {"challenge": "1", "code": "2"}, CheckChallenge),
        (CHECK, {"phone": "1", "purpose": "sign_up", "code": "2"}, CheckNumber),
        (SET, {"current": "1", "password": "2"}, ChangePassword),
        (SET, {"ticket": "1", "password": "2"}, ResetPassword),
    ],
)
async def test_the_fields_decide(models: Any, fields: dict[str, Any], expected: type[Parameters]) -> None:
    assert type(await read(models, fields)) is expected


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize(
    ("models", "fields", "expected"),
    [
        (LOG_IN, {"phone": "1", "password": "2", "ticket": ...}, LogInWithPassword),
        (LOG_IN, {"phone": ..., "password": ..., "ticket": "1"}, LogInWithTicket),
        (CHECK, {"challenge": "1", "code": "2", "phone": ..., "purpose": "sign_up"}, CheckChallenge),
        (CHECK, {"challenge": ..., "code": "2", "phone": "1", "purpose": "sign_up"}, CheckNumber),
        (SET, {"current": ..., "password": "2", "ticket": "1"}, ResetPassword),
        (SET, {"current": "1", "password": "2", "ticket": ...}, ChangePassword),
    ],
)
async def test_a_client_with_one_class_for_both_kinds_leaves_the_other_fields_empty(
    models: Any, fields: dict[str, Any], expected: type[Parameters], nothing: str | None
) -> None:
    """So do the clients that openapi-generator makes for Kotlin and Dart."""
    sent = {name: nothing if value is ... else value for name, value in fields.items()}
    assert type(await read(models, sent)) is expected


@pytest.mark.parametrize(
    ("models", "fields", "expected"),
    [
        (CHECK, {"challenge": "1", "code": "2", "phone": "3", "purpose": "sign_up"}, CheckChallenge),
        (CHECK, {"phone": "3", "purpose": "sign_up", "code": "2", "challenge": "1"}, CheckChallenge),
        (CHECK, {"challenge": "1", "code": "2", "phone": "3"}, CheckChallenge),
        (LOG_IN, {"ticket": "1", "phone": "2", "password": "3"}, LogInWithPassword),
        (SET, {"ticket": "1", "password": "2", "current": "3"}, ChangePassword),
    ],
)
async def test_a_body_of_both_kinds_is_the_first_one(
    models: Any, fields: dict[str, Any], expected: type[Parameters]
) -> None:
    """The holder of a challenge is told the tries left, also if they send the number and the purpose with it."""
    assert type(await read(models, fields)) is expected


@pytest.mark.parametrize(
    ("models", "fields", "field"),
    [
        (LOG_IN, {}, "phone"),
        (LOG_IN, {"phone": "1"}, "password"),
        (LOG_IN, {"password": "1"}, "phone"),
        (LOG_IN, {"ticket": ""}, "phone"),
        (CHECK, {"code": "1"}, "challenge"),
        (CHECK, {"code": "1", "phone": "2"}, "purpose"),
        (CHECK, {"code": "1", "purpose": "sign_up"}, "phone"),
        (SET, {"password": "1"}, "current"),
        (SET, {"ticket": "1"}, "password"),
    ],
)
async def test_the_field_that_is_missing_is_named(models: Any, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        await read(models, fields)
    assert (refusal.value.code, refusal.value.field) == (ErrorCode.PARAMETER_MISSING, field)


@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
async def test_an_empty_body_with_any_content_type_has_no_proof(media_type: str) -> None:
    """Clients that send every body in chunks cannot say beforehand that it is empty."""
    assert await read_proof(request_with(b"", media_type), EraseWithPassword, EraseWithTicket) == Proof()
