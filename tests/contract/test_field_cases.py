"""Plays the field cases: what real people, phones and clients send, many inputs of each kind.

A file under ``field_cases`` is one kind. It is a contract case (``support/contract_cases.py`` describes steps and
placeholders) whose steps are repeated for each of its inputs:

- ``kind``: the kind in a few words; ``sources``: public reports of it;
- ``setup``: steps before the first input;
- ``inputs``: what is sent: texts, other JSON values, or objects;
- ``steps``: steps for each input. ``{input}`` alone is the input as it is, inside a text it is the input's text;
  ``{input:name}`` is the same for a field of an input that is an object;
- ``after``: steps after the last input.

All inputs are tried, and the test names each one that is answered otherwise.

More steps and placeholders than other cases have: ``{"sign_up": "friend"}`` registers the number kept as ``friend``
through ``/v2`` and keeps its tokens as ``friend_token`` and ``friend_refresh``. ``{"used_earlier": 31, "token":
"{friend_refresh}"}`` moves the uses of this refresh token, and of the others of its session, so many seconds into the
past. ``{"unuse_code": "{number}"}`` makes the codes of a number unused. ``{number.1}``, ``{number.2}`` and ``{number.3}`` are the first three, next four and last four digits of a number;
``{arabic:number}`` writes the digits of a kept value in another script (``SCRIPTS``), with pieces too. ``{hongkong}``
and ``{hongkong_friend}`` are fresh numbers of +852 in national digits. ``"via": "abroad"`` calls a gateway and a
contacts-service that serve the world, and the pages of ``LISTED_ORIGINS``.
"""

import json
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from stack.system import Stack
from support.app import App
from support.contract_cases import CasePlayer, expand, fill
from support.database import Tables

FIELD_CASES = Path(__file__).parent / "field_cases"
SCRIPTS = {"fullwidth": "０", "arabic": "٠", "persian": "۰", "devanagari": "०", "thai": "๐", "bold": "𝟎"}
"""The digit zero of each script; the other nine follow it in Unicode."""
LISTED_ORIGINS = "https://m.example.com,https://localhost,capacitor://localhost,http://localhost:5173"
PIECES = {"1": slice(0, 3), "2": slice(3, 7), "3": slice(7, None)}
_PLACEHOLDER = re.compile(r"\{(?:(\w+):)?(\w+)(?:\.([123]))?\}")


@pytest.fixture(scope="session")
async def abroad(system: Stack) -> AsyncIterator[App]:
    """A gateway and a contacts-service that serve every country. The gateway also serves ``LISTED_ORIGINS``."""
    env = {"SERVED_CALLING_CODES": ",".join(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))}
    contacts = system.launch("contacts-service", label="abroad-contacts-service", env=env)
    gateway = system.launch(
        "gateway", label="abroad-gateway", env={**env, "CONTACTS_URL": contacts.url, "CORS_ORIGINS": LISTED_ORIGINS}
    )
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()
    contacts.stop()


class FieldCasePlayer(CasePlayer):
    """Performs the steps of a field case."""

    def __init__(self, gateways: dict[str, App], tables: Tables) -> None:
        super().__init__(gateways, tables)
        self.known |= {"hongkong": hongkong_number(), "hongkong_friend": hongkong_number()}

    async def play(self, step: dict[str, Any]) -> None:
        """Perform a step of any kind. Raises ``AssertionError`` if the response is not the expected one."""
        if "sign_up" in step:
            await self._sign_up(self.gateway(step), step["sign_up"])
        elif "used_earlier" in step:
            await self._tables.age_refresh_tokens(fill(step["token"], self.known), float(step["used_earlier"]))
        elif "unuse_code" in step:
            await self._tables.unuse_codes(fill(step["unuse_code"], self.known))
        else:
            await self.replay(spell(step, self.known))

    async def _sign_up(self, app: App, name: str) -> None:
        number = f"+852{self.known[name]}" if name.startswith("hongkong") else f"+86{self.known[name]}"
        sent = await app.call("POST", "/v2/verifications", json={"phone": number, "purpose": "sign_up"})
        assert sent.status == 202, sent.body
        query = {"to": number, "wait": "25"}
        async with app.http.get(f"{app.sms}/inbox/messages/latest", params=query) as response:
            code = (await response.json())["code"]
        check = {"challenge": sent.body["challenge"], "code": code}
        checked = await app.call("POST", "/v2/verifications/check", json=check)
        opened = await app.call("POST", "/v2/accounts", json={"ticket": checked.body["ticket"]})
        assert opened.status == 201, opened.body
        self.known[f"{name}_token"] = opened.body["tokens"]["access_token"]
        self.known[f"{name}_refresh"] = opened.body["tokens"]["refresh_token"]


def hongkong_number() -> str:
    """A fresh mobile number of Hong Kong in national digits: all that begin with 96 are."""
    return f"96{random.randrange(10**6):06d}"


def with_input(value: Any, replacement: Any) -> Any:
    """A step with its input in place."""
    if isinstance(value, dict):
        return {name: with_input(each, replacement) for name, each in value.items()}
    if isinstance(value, list):
        return [with_input(each, replacement) for each in value]
    if not isinstance(value, str):
        return value
    if value == "{input}":
        return replacement
    if field := re.fullmatch(r"\{input:(\w+)\}", value):
        return replacement[field[1]]
    value = value.replace("{input}", str(replacement))
    return re.sub(r"\{input:(\w+)\}", lambda match: str(replacement[match[1]]), value)


def spell(value: Any, known: dict[str, str]) -> Any:
    """A step with pieces of numbers and digits of other scripts in place; other placeholders stay for the player."""
    if isinstance(value, dict):
        return {name: spell(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [spell(each, known) for each in value]
    return _PLACEHOLDER.sub(lambda match: _spelled(match, known), value) if isinstance(value, str) else value


def _spelled(match: re.Match[str], known: dict[str, str]) -> str:
    script, name, piece = match.groups()
    if name not in known or (script and script not in SCRIPTS):
        return match[0]
    digits = known[name][PIECES[piece]] if piece else known[name]
    return "".join(chr(ord(SCRIPTS[script]) + int(digit)) for digit in digits) if script else digits


@pytest.mark.parametrize("path", sorted(FIELD_CASES.glob("*.json")), ids=lambda path: path.stem)
async def test_every_input_of_the_kind_gets_the_expected_answer(
    path: Path, app: App, abroad: App, tables: Tables
) -> None:
    case = expand(json.loads(path.read_text()))
    player = FieldCasePlayer({"": app, "abroad": abroad}, tables)
    for step in case.get("setup", []):
        await player.play(step)
    failures = []
    for each in case["inputs"]:
        try:
            for step in case["steps"]:
                await player.play(with_input(step, each))
        except AssertionError as error:
            failures.append(f"{each!a}: {error}")
    assert not failures, "\n".join([case["kind"], *failures])
    for step in case.get("after", []):
        await player.play(step)
