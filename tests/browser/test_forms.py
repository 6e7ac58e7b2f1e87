"""Users register, log in and reset their password in a browser, with the code from the inbox page."""

import pytest
from playwright.async_api import expect
from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.browser import Visit, Visiting
from support.database import Tables

PASSWORD = "sesame, 42"
REGISTERED = {"zh": "注册成功", "en": "You are registered"}
FREE = {"zh": "手机号可用", "en": "This number is available"}
TAKEN = {"zh": "手机已注册 去登录", "en": "This number already has an account. Log in"}
WRONG_CODE = {"zh": "验证码不正确", "en": "The code is incorrect"}
AGAIN = {"zh": "秒后重新获取", "en": "Resend in"}


async def copied_code(inbox: Visit, number: str) -> str:
    """The code for a number, copied from the inbox page with one click."""
    row = inbox.page.locator("#messages li", has=inbox.page.locator(f'a.to[href*="{number}"]')).first
    await row.locator(".code").click()
    await expect(inbox.page.locator("#news")).to_contain_text(await row.locator(".digits").inner_text())
    return str(await inbox.page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_user_registers_with_the_code_of_the_inbox_page_and_logs_in(
    visit: Visiting, language: str, width: int
) -> None:
    number = fresh_number()
    inbox, user = await visit(language, width), await visit(language, width)
    page = user.page
    await inbox.inbox()
    await user.form("register")

    await user.fill(phone=number)
    await expect(page.locator("#phone-hint")).to_have_text(FREE[language])
    await page.click("#send")
    await expect(page.locator("#send")).to_be_disabled()
    await expect(page.locator("#send")).to_contain_text(AGAIN[language])
    await expect(page.locator("#code")).to_be_focused()
    await user.fill(code=await copied_code(inbox, number), password=PASSWORD, confirm=PASSWORD)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name=REGISTERED[language])).to_be_focused()
    await page.click("#done a")
    await expect(page.locator("#phone")).to_have_value(number)  # carried over by a script, when it has loaded
    await user.fill(password=PASSWORD)
    await page.click("#go")
    await expect(page.locator("#done h1")).to_be_focused()
    await expect(page.locator("#number")).to_have_text(f"+86{number}")
    assert await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    assert await page.evaluate("document.documentElement.scrollWidth") <= width

    await page.click("#log-out")
    await expect(page.locator("#phone")).to_be_focused()
    await expect(page.locator("#done")).to_be_hidden()


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_an_error_is_shown_at_its_field(visit: Visiting, app: App, language: str) -> None:
    number, registered = fresh_number(), fresh_number()
    await app.register(registered, PASSWORD)
    user = await visit(language)
    await user.form("register")

    await user.page.click("#go")
    assert await user.error_of("phone")
    await expect(user.page.locator("#phone")).to_be_focused()

    await user.fill(phone=registered)
    assert await user.error_of("phone") == TAKEN[language]

    await user.fill(phone=number)
    await user.page.click("#send")
    await expect(user.page.locator("#send")).to_be_disabled()
    await user.fill(code=wrong(await app.code(number)), password=PASSWORD, confirm=PASSWORD + "!")
    await user.page.click("#go")
    assert await user.error_of("confirm")

    await user.fill(confirm=PASSWORD)
    await user.page.click("#go")
    assert await user.error_of("code") == WRONG_CODE[language]
    await expect(user.page.locator("#code")).to_be_focused()


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_where_accounts_are_disclosed_after_proof_the_page_tells_of_one_when_the_code_is_right(
    visit: Visiting, app: App, system: Stack, tables: Tables, language: str
) -> None:
    gateway = system.launch("gateway", label="gateway-after-proof", env={"ACCOUNT_DISCLOSURE": "after_proof"})
    number = fresh_number()
    await app.register(number, PASSWORD)
    await tables.age(number, 61)
    user = await visit(language)
    user.gateway = gateway.url
    await user.form("register")

    async with user.page.expect_response("**/v1/register/checkPhone"):
        await user.fill(phone=number)
    await user.page.click("#send")
    await expect(user.page.locator("#code")).to_be_focused()
    await expect(user.page.locator("#phone-hint")).to_have_text("")
    await user.fill(code=await app.code(number), password=PASSWORD, confirm=PASSWORD)
    await user.page.click("#go")

    assert await user.error_of("phone") == TAKEN[language].replace("手机已注册", "手机号已注册")
    gateway.stop()


async def test_the_countdown_starts_at_the_rest_of_the_cooldown(visit: Visiting, app: App, tables: Tables) -> None:
    number = fresh_number()
    await app.send_code(number)
    await tables.age(number, 25)
    user = await visit()
    await user.form("register")

    await user.fill(phone=number)

    await expect(user.page.locator("#send")).to_be_disabled()
    left = int("".join(filter(str.isdigit, await user.page.locator("#send").inner_text())))
    assert 25 <= left <= 35


async def test_a_forgotten_password_is_reset_with_a_code(visit: Visiting, app: App, tables: Tables) -> None:
    number, changed = fresh_number(), "open sesame"
    await app.register(number, PASSWORD)
    await tables.age(number, 61)
    user = await visit()
    await user.form("reset")

    await user.fill(phone=fresh_number())
    await user.page.click("#send")
    assert await user.error_of("phone") == "This number has no account. Register first. Register"

    await user.fill(phone=number)
    await user.page.click("#send")
    await expect(user.page.locator("#code-hint")).to_have_text("Code sent")
    code = await app.code(number)
    await user.fill(code=wrong(code), password=changed, confirm=changed)
    await user.page.click("#go")
    assert "incorrect" in await user.error_of("code")

    await user.fill(code=code)
    await user.page.click("#go")
    await expect(user.page.get_by_role("heading", name="Your password has been changed")).to_be_focused()
    assert "token" in (await app.log_in(number, changed)).body
    assert (await app.log_in(number, PASSWORD)).body["error_code"] == "20000"


async def test_a_wrong_password_and_an_outage_are_shown_and_the_input_stays(visit: Visiting) -> None:
    number = fresh_number()
    user = await visit("zh")
    await user.form("login")
    await user.fill(phone=number, password=PASSWORD)

    await user.page.click("#go")
    await expect(user.page.locator("#status")).to_contain_text("手机号或密码错误")
    await user.page.route("**/v2/**", lambda route: route.abort())
    await user.page.click("#go")
    await expect(user.page.locator("#status")).to_contain_text("无法连接服务器")

    assert await user.page.input_value("#phone") == number
    assert user.messages == ["Failed to load resource: net::ERR_FAILED"]
    user.messages.clear()


async def test_a_password_can_be_shown_while_it_is_typed(visit: Visiting) -> None:
    user = await visit()
    await user.form("login")
    await user.fill(password=PASSWORD)

    await user.page.get_by_role("button", name="Show: Password").click()
    await expect(user.page.locator("#password")).to_have_attribute("type", "text")
    await user.page.get_by_role("button", name="Hide: Password").click()
    await expect(user.page.locator("#password")).to_have_attribute("type", "password")


async def test_the_language_can_be_chosen(visit: Visiting) -> None:
    user = await visit("en")
    await user.form("register")

    await user.page.get_by_role("link", name="中文").click()

    await expect(user.page.locator("h1").first).to_have_text("注册账号")
    await expect(user.page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert "lang=zh" in str(await user.page.locator(".sections a").first.get_attribute("href"))


@pytest.mark.parametrize(("own", "chosen", "signature"), [("en", "zh", "【好码】"), ("zh", "en", "[Haoma]")])
@pytest.mark.parametrize("form", ["register", "reset"])
async def test_the_message_is_in_the_language_of_the_page_not_of_the_browser(
    visit: Visiting, app: App, tables: Tables, form: str, own: str, chosen: str, signature: str
) -> None:
    number = fresh_number()
    if form == "reset":
        await app.register(number, PASSWORD)
        await tables.age(number, 121)
    user = await visit(own)
    await user.form(f"{form}?lang={chosen}")

    await user.fill(phone=number)
    await user.page.click("#send")
    await expect(user.page.locator("#send")).to_contain_text(AGAIN[chosen])

    assert (await app.message(number, after=app.read.get(number)))["text"].startswith(signature)
