"""Codes in the forms as people paste and type them, and what is said of a code that is wrong or dead."""

import pytest
from playwright.async_api import Request, expect
from support.app import App, fresh_number, wrong
from support.browser import Visit, Visiting
from support.database import Tables

PASSWORD = "sesame, 42"
LIMITED = "Too many incorrect codes were entered. Try again later, or from the network that you usually use."
DEAD = {"en": "This code is no longer valid. Request a new one", "zh": "该验证码已失效，请重新获取"}
INCORRECT = {"en": "The code is incorrect", "zh": "验证码不正确"}


WITH_A_CODE = [
    "840959",
    "840 959",
    " 840959 ",
    "840-959",
    "840\u2013959",
    "8 4 0 9 5 9",
    "840\u200b959",
    "８４０９５９",
    "٨٤٠٩٥٩",
    "८४०९५९",
    "8️⃣4️⃣0️⃣9️⃣5️⃣9️⃣",
    "840959\r\n5 minutes",
    "G-840959 is your code",
    "【好码】验证码 840959，用于注册账号，5 分钟内有效。请勿告诉他人。",
    "【好码】您的验证码是840959。",
    "[Haoma] 840959 is your code to register. It expires in 5 minutes.",
    "From 10690000 on 2026-11-28: use 840 959",
]
WITHOUT_A_CODE = ["84095", "8409591", "2026-11-28", "138 0013 8000", "no digits"]
TYPED = {"840 959": "840959", "８４０９５９": "840959", "840 95": "840 95", "8409591": "8409591"}


@pytest.mark.parametrize("form", ["register", "reset"])
async def test_a_pasted_code_or_message_becomes_the_code_and_nothing_else_is_cut(visit: Visiting, form: str) -> None:
    user = await visit()
    await user.form(form)
    for text in WITH_A_CODE:
        await user.paste("code", text)
        await expect(user.page.locator("#code"), text).to_have_value("840959")
    for text in WITHOUT_A_CODE:
        await user.paste("code", text)
        await expect(user.page.locator("#code"), text).to_have_value(text)


async def test_a_code_is_read_as_it_is_typed(visit: Visiting) -> None:
    user = await visit()
    await user.form("register")
    for typed, shown in TYPED.items():
        await user.fill(code="")
        await user.page.focus("#code")
        for key in typed:
            await user.page.keyboard.insert_text(key)
        await expect(user.page.locator("#code"), typed).to_have_value(shown)


async def test_a_code_that_autofill_brings_is_read(visit: Visiting) -> None:
    user = await visit()
    await user.form("register")
    await user.fill(code="Your code: 840-959")
    await expect(user.page.locator("#code")).to_have_value("840959")


async def test_what_is_not_six_digits_is_not_sent(visit: Visiting) -> None:
    user = await visit()
    await user.form("register")
    calls: list[Request] = []
    user.page.on("request", lambda request: calls.append(request) if request.url.endswith("/v1/register") else None)
    await user.fill(phone=fresh_number(), password=PASSWORD, confirm=PASSWORD)
    for typed in ("84095", "8409591", "abcdef", "84095x"):
        await user.fill(code=typed)
        await user.page.click("#go")
        assert await user.error_of("code") == "Enter the 6 digits of the code"
    assert calls == []


async def submit_wrong_codes(user: Visit, code: str, count: int) -> list[str]:
    """The errors that the form shows for a code that is wrong, submitted again and again."""
    errors = []
    for _ in range(count):
        await user.fill(code=wrong(code))
        async with user.page.expect_response(lambda response: response.request.method == "POST"):
            await user.page.click("#go")
        errors.append(await user.error_of("code"))
    return errors


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_registration_tells_when_a_code_is_dead_and_a_new_one_works(
    visit: Visiting, app: App, tables: Tables, language: str
) -> None:
    number = fresh_number()
    user = await visit(language)
    await user.form("register")
    await user.fill(phone=number, password=PASSWORD, confirm=PASSWORD)
    await user.page.click("#send")
    code = await app.code(number)

    assert await submit_wrong_codes(user, code, 5) == [INCORRECT[language]] * 4 + [DEAD[language]]
    await user.fill(code=code)  # the right one, too late
    await user.page.click("#go")
    assert await user.error_of("code") == DEAD[language]

    await tables.age(number, 61)
    await user.page.evaluate("sessionStorage.clear()")  # the clock of the page does not age with the tables
    await user.page.reload()
    await user.fill(phone=number, password=PASSWORD, confirm=PASSWORD)
    await user.page.click("#send")
    await user.fill(code=await app.code(number))
    await user.page.click("#go")
    await expect(user.page.locator("#done h1")).to_be_focused()


async def test_a_code_is_dead_after_five_minutes(visit: Visiting, app: App, tables: Tables) -> None:
    number = fresh_number()
    user = await visit()
    await user.page.clock.install()
    await user.form("register")
    await user.fill(phone=number, password=PASSWORD, confirm=PASSWORD)
    await user.page.click("#send")
    await user.fill(code=await app.code(number))

    await tables.age(number, 301)
    await user.page.clock.fast_forward(301_000)
    await user.page.click("#go")
    assert await user.error_of("code") == DEAD["en"]


async def test_a_reset_tells_when_a_code_is_dead(visit: Visiting, app: App, tables: Tables) -> None:
    number = fresh_number()
    await app.register(number, PASSWORD)
    await tables.age(number, 61)
    user = await visit()
    await user.form("reset")
    await user.fill(phone=number, password=PASSWORD + "!", confirm=PASSWORD + "!")
    await user.page.click("#send")

    *earlier, last = await submit_wrong_codes(user, await app.code(number), 5)
    assert all("incorrect" in error for error in earlier)
    assert last == DEAD["en"]


async def test_a_reset_sends_nobody_to_a_new_code_that_would_not_help(
    visit: Visiting, app: App, tables: Tables
) -> None:
    number = fresh_number()
    await app.register(number, PASSWORD)
    user = await visit()
    await user.form("reset")
    endings = []
    for _ in range(2):
        await tables.age(number, 61)
        await user.page.evaluate("sessionStorage.clear()")  # the clock of the page does not age with the tables
        await user.page.reload()
        await user.fill(phone=number, password=PASSWORD + "!", confirm=PASSWORD + "!")
        await user.page.click("#send")
        code = await app.code(number)
        endings.append((await submit_wrong_codes(user, code, 5))[-1])

    assert endings == [DEAD["en"], LIMITED]
    await user.fill(code=code)  # the right one
    async with user.page.expect_response(lambda response: response.request.method == "POST"):
        await user.page.click("#go")
    assert await user.error_of("code") == LIMITED
