"""``python -m gateway operate``: the calls of the operator API on the command line. It prints the response as JSON."""

import argparse
import asyncio
import sys
from typing import Any, NoReturn, get_args, get_origin

import orjson
from pydantic.fields import FieldInfo

from gateway.operators.calls import CALLS, SET_BY_US, OperatorCall
from gateway.settings import OperateSettings
from shared.internal_api.upstream import Response, upstream
from shared.trace import current_cause

SECONDS = 15.0
REFUSED = 1


def add_calls(parser: argparse.ArgumentParser) -> None:
    """A command for each call, with an option for each field of its request."""
    calls = parser.add_subparsers(dest="call", metavar="CALL", required=True)
    for call in CALLS.values():
        about = f"{call.about} (role: {call.role})"
        call_parser = calls.add_parser(call.name, help=about, description=about)
        for name, field in call.endpoint.request.model_fields.items():
            if name not in SET_BY_US:
                call_parser.add_argument(_option(name), dest=name, **_arguments(field))


def operate(settings: OperateSettings, options: argparse.Namespace) -> None:
    """Make the call. Exits with 1 and one line of explanation if it is refused."""
    call = CALLS[options.call]
    fields = {name: getattr(options, name) for name in call.endpoint.request.model_fields if name not in SET_BY_US}
    try:
        status, body = asyncio.run(_post(settings, call, {name: each for name, each in fields.items() if each}))
    except (TimeoutError, OSError) as error:
        _exit(f"no answer from {settings.operator_url} ({type(error).__name__}): does the operator API run there?")
    if status != 200:
        _exit(_explanation(body, status))
    sys.stdout.write(orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode() + "\n")


async def _post(settings: OperateSettings, call: OperatorCall, fields: dict[str, Any]) -> Response:
    headers = {"Authorization": f"Bearer {settings.key}"}
    async with asyncio.timeout(SECONDS), upstream(settings.operator_url, headers) as opened:
        return await opened.post(f"/v1/{call.name}", orjson.dumps(fields), current_cause())


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _arguments(field: FieldInfo) -> dict[str, Any]:
    """What argparse needs to know of a field."""
    arguments: dict[str, Any] = {"help": field.description, "required": field.is_required()}
    kinds = {get_origin(each) or each for each in get_args(field.annotation) or (field.annotation,)}
    if field.annotation is bool:
        return {"help": field.description, "action": "store_true"}
    if get_origin(field.annotation) is list or list in kinds:
        arguments["nargs"] = "+"
    return arguments


def _explanation(body: bytes, status: int) -> str:
    try:
        problem = orjson.loads(body)
        place = f"{_option(problem['field'])}: " if problem.get("field") else ""
        return f"{place}{problem['detail']} ({problem['code']})"
    except (ValueError, LookupError, TypeError):
        return f"an answer that is not the operator API's (HTTP {status}): look at OPERATOR_URL"


def _exit(reason: str) -> NoReturn:
    sys.stderr.write(f"operate: {reason}\n")
    raise SystemExit(REFUSED)
