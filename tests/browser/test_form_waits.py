"""The forms while they wait: for an answer, for the end of a limit, and without an answer of ours."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Request, Route, expect
from support.app import App, fresh_number
from support.browser import Visit, Visiting
from support.database import Tables

PASSWORD = "sesame, 42"
CHALLENGE = {"challenge": "kept", "expires_in": 300, "resend_after": 60}
CALLS = re.compile("/v[12]/")
OFFLINE = "Cannot reach the server. Check your connection and try again."
UNAVAILABLE = "The service is not available right now. Try again later."


@pytest.mark.parametrize(
    ("form", "button", "path", "busy"),
    [
        ("register", "#send", "**/v1/register/sendCode", "Sending…"),
        ("register", "#go", "**/v1/register", "Please wait…"),
        ("login", "#go", "**/v2/sessions", "Please wait…"),
        ("reset", "#send", "**/v2/verifications", "Sending…"),
        ("reset", "#go", "**/v2/verifications/check", "Please wait…"),
    ],
)
async def test_a_button_shows_that_it_works_and_calls_once(
    visit: Visiting, form: str, button: str, path: str, busy: str
) -> None:
    user = await visit()
    await user.form(form)
    await fill_everything(user, fresh_number())
    released, calls = asyncio.Event(), []

    async def hold(route: Route) -> None:
        calls.append(route.request)
        await released.wait()
        await route.abort()

    await user.page.route(path, hold)
    pressed = user.page.locator(button)
    label = await pressed.inner_text()
    await pressed.click()
    await expect(pressed).to_have_text(busy)
    await pressed.evaluate("button => { button.click(); button.click(); }")
    assert float(await pressed.evaluate("button => getComputedStyle(button).opacity")) < 0.8
    released.set()
    await expect(pressed).to_have_text(label)
    assert len(calls) == 1
    user.messages.clear()  # the browser's own about the call that was aborted


FOREIGN_ANSWERS = [
    {"status": 502, "content_type": "text/html", "body": "<html><h1>502 Bad Gateway</h1></html>"},
    {"status": 504, "content_type": "text/plain", "body": ""},
    {"status": 403, "content_type": "application/json", "body": '{"message": "Forbidden"}'},
    {"status": 200, "content_type": "text/html", "body": "<html>Log in to the Wi-Fi</html>"},
    {"status": 200, "content_type": "application/json", "body": "null"},
]


@pytest.mark.parametrize(
    ("form", "button"), [("register", "#send"), ("register", "#go"), ("login", "#go"), ("reset", "#send")]
)
async def test_an_answer_of_a_proxy_is_not_told_as_a_lost_connection(visit: Visiting, form: str, button: str) -> None:
    number = fresh_number()
    user = await visit()
    await user.form(form)
    shown = user.page.locator("#code-error" if button == "#send" else "#status")

    for answer in FOREIGN_ANSWERS:
        await user.page.route(CALLS, answering(**answer))
        await fill_everything(user, number)
        await user.page.click(button)
        await expect(shown, str(answer)).to_have_text(UNAVAILABLE)
        await user.page.unroute(CALLS)
    await user.page.route(CALLS, lambda route: route.abort())
    await user.page.click(button)
    await expect(shown).to_have_text(OFFLINE)

    await expect(user.page.locator("#phone")).to_have_value(number)
    await expect(user.page.locator(button)).to_be_enabled()
    user.messages.clear()  # the browser's own about statuses and lost connections


@pytest.mark.parametrize(
    ("form", "button", "path", "body"),
    [
        ("register", "#send", "**/sendCode", {"success": "false", "errorCode": "1008", "msg": "", "data": None}),
        ("register", "#go", "**/v1/register", {"success": "false", "errorCode": "1008", "msg": "", "data": None}),
        ("login", "#go", "**/v2/sessions", {"code": "caller_limit", "detail": "Too many requests. Try again later."}),
        ("reset", "#send", "**/v2/verifications", {"code": "caller_limit", "detail": "Too many requests."}),
    ],
)
async def test_a_limit_is_one_countdown_in_the_button_that_was_pressed(
    visit: Visiting, form: str, button: str, path: str, body: dict[str, object]
) -> None:
    user = await visit()
    await user.page.clock.install()
    await user.form(form)
    await fill_everything(user, fresh_number())
    status = 200 if "errorCode" in body else 429
    headers = {"Retry-After": "17", "Content-Type": "application/json"}
    await user.page.route(path, answering(status=status, headers=headers, body=json.dumps(body)))

    pressed = user.page.locator(button)
    label = await pressed.inner_text()
    await pressed.click()
    await expect(pressed).to_contain_text("in 17 s")
    await expect(pressed).to_be_disabled()
    await user.fill(phone=fresh_number())
    await expect(pressed).to_contain_text("in 17 s")
    shown = await user.page.locator("#code-error" if button == "#send" else "#status").inner_text()
    assert shown.startswith("Too many")
    assert not any(character.isdigit() for character in shown)

    await user.page.clock.fast_forward(18_000)
    await expect(pressed).to_be_enabled()
    await expect(pressed).to_have_text(label)


async def test_a_long_wait_is_told_in_minutes_or_hours(visit: Visiting) -> None:
    user = await visit()
    await user.page.clock.install()
    await user.form("register")
    body = {"success": "false", "errorCode": "1005", "msg": "", "data": None}
    for seconds, shown in ((59, "59 s"), (60, "60 s"), (600, "10 min"), (3_601, "61 min"), (50_000, "14 h")):
        headers = {"Retry-After": str(seconds), "Content-Type": "application/json"}
        await user.page.route("**/sendCode", answering(headers=headers, body=json.dumps(body)))
        await user.fill(phone=fresh_number())
        await user.page.click("#send")
        await expect(user.page.locator("#send")).to_have_text(f"Resend in {shown}")
        await user.fill(phone=fresh_number())
        await expect(user.page.locator("#send")).to_have_text("Send code")
        await user.page.unroute("**/sendCode")


async def test_the_number_and_the_countdown_survive_a_reload_and_a_change_of_language(visit: Visiting) -> None:
    number = fresh_number()
    user = await visit("en")
    await user.form("register")
    await user.fill(phone=number)
    await user.page.click("#send")
    send, phone = user.page.locator("#send"), user.page.locator("#phone")
    await expect(send).to_contain_text("Resend in")

    await user.page.reload()
    await expect(phone).to_have_value(number)
    await expect(send).to_contain_text("Resend in")

    await user.page.get_by_role("link", name="中文").click()
    await expect(phone).to_have_value(number)
    await expect(send).to_contain_text("秒后重新获取")

    await user.fill(phone=fresh_number())
    await expect(send).to_have_text("获取验证码")
    await expect(send).to_be_enabled()
    await user.fill(phone=number)
    await expect(send).to_contain_text("秒后重新获取")


async def test_a_second_tab_counts_down_to_the_end_of_the_same_cooldown(
    visit: Visiting, app: App, tables: Tables
) -> None:
    number = fresh_number()
    first, second = await visit(), await visit()
    for user in (first, second):
        await user.form("register")
    await first.fill(phone=number)
    await first.page.click("#send")
    await expect(first.page.locator("#send")).to_contain_text("Resend in")

    await tables.age(number, 20)
    await second.fill(phone=number)
    await expect(second.page.locator("#send")).to_contain_text("Resend in")
    left = float(await second.page.evaluate(LEFT_OF_COOLDOWN))
    assert 0 < left < 50_000, "the second tab has what is left, some 40 s, and not 60 s from now"

    await second.fill(code=await app.code(number), password=PASSWORD, confirm=PASSWORD)
    await second.page.click("#go")
    await expect(second.page.locator("#done h1")).to_be_focused()


LEFT_OF_COOLDOWN = "Object.values(JSON.parse(sessionStorage.getItem('haoma.account')).cooldowns)[0] - Date.now()"


async def test_a_reset_goes_on_after_a_reload(visit: Visiting, app: App) -> None:
    number, changed = fresh_number(), "open sesame"
    await app.register(number, PASSWORD)
    user = await visit()
    await user.form("reset")
    await user.page.route("**/v2/verifications", answering(status=202, json=CHALLENGE))
    await user.fill(phone=number)
    await user.page.click("#send")
    await expect(user.page.locator("#send")).to_contain_text("Resend in")
    await user.page.reload()

    async with user.page.expect_request("**/v2/verifications/check") as expected:
        await user.fill(code="123456", password=changed, confirm=changed)
        await user.page.click("#go")
    request: Request = await expected.value
    assert request.post_data_json == {"challenge": "kept", "code": "123456"}


def answering(**answer: Any) -> Callable[[Route], Awaitable[None]]:
    """Answers a call in place of the server."""

    async def answer_route(route: Route) -> None:
        await route.fulfill(**answer)

    return answer_route


async def fill_everything(user: Visit, number: str) -> None:
    fields = {"phone": number, "code": "123456", "password": PASSWORD, "confirm": PASSWORD}
    here = {name: value for name, value in fields.items() if await user.page.locator(f"#{name}").count()}
    await user.fill(**here)
