"""Numbers in the forms: their country, whole numbers from autofill and the clipboard, and the way from form to form."""

from collections.abc import Iterator

import pytest
from playwright.async_api import expect
from stack.system import Stack
from support.app import App, fresh_number
from support.browser import Visiting

PASSWORD = "sesame, 42"


WHOLE_NUMBERS = [
    "13560991945",
    "135 6099 1945",
    "+86 135 6099 1945",
    "+86-135-6099-1945",
    "0086 13560991945",
    "8613560991945",
    "＋８６ １３５６０９９１９４５",
    "(+86) 135 6099 1945",
    "\u202d+86 135 6099 1945\u202c",
]


@pytest.mark.parametrize("form", ["register", "login", "reset"])
async def test_the_country_is_not_shown_twice(visit: Visiting, form: str) -> None:
    user = await visit()
    await user.form(form)
    for text in WHOLE_NUMBERS:
        await user.fill(phone=text)
        await user.page.locator("#phone").blur()
        shown = await user.page.input_value("#phone")
        assert "".join(filter(str.isdecimal, shown)) == "13560991945", text
        await expect(user.page.locator(".prefix")).to_have_text("+86")
        await expect(user.page.locator(".prefix")).to_be_visible()


async def test_a_number_of_another_country_stands_without_the_pages_country(visit: Visiting) -> None:
    user = await visit()
    await user.form("register")
    await user.paste("phone", "+852 6123 4567")
    await expect(user.page.locator(".prefix")).to_be_hidden()
    assert await user.error_of("phone") == "Enter a valid mobile number"
    await user.fill(phone="13560991945")
    await expect(user.page.locator(".prefix")).to_be_visible()


@pytest.fixture(scope="module")
def world(system: Stack) -> Iterator[str]:
    """The address of a gateway that serves several countries."""
    gateway = system.launch("gateway", label="gateway-world", env={"SERVED_CALLING_CODES": "86,852,1"})
    yield gateway.url
    gateway.stop()


@pytest.mark.parametrize(
    ("country", "typed", "chosen", "sent"),
    [
        (None, "13560991945", "86", "13560991945"),
        ("852", "6123 4567", "852", "+85261234567"),
        ("1", "(213) 373-4253", "1", "+12133734253"),
        (None, "+852 6123 4567", "852", "+85261234567"),
        (None, "001 213 373 4253", "1", "+12133734253"),
        ("852", "+86 135 6099 1945", "86", "13560991945"),
    ],
)
async def test_where_several_countries_are_served_the_country_is_chosen_or_read(
    visit: Visiting, world: str, country: str | None, typed: str, chosen: str, sent: str
) -> None:
    user = await visit()
    user.gateway = world
    await user.form("reset")
    if country:
        await user.page.select_option("#country", country)
    await user.fill(phone=typed)
    await user.page.locator("#phone").blur()
    await expect(user.page.locator("#country")).to_have_value(chosen)

    async with user.page.expect_request("**/v2/verifications") as expected:
        await user.page.click("#send")
    phone = str((await expected.value).post_data_json["phone"])
    assert "".join(character for character in phone if character not in " ()-") == sent


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_registered_number_leads_to_the_log_in_with_it(visit: Visiting, app: App, language: str) -> None:
    number = fresh_number()
    await app.register(number, PASSWORD)
    user = await visit(language)
    await user.form("register")
    await user.fill(phone=number)
    await user.error_of("phone")

    await user.page.locator("#phone-error a").click()
    await user.page.wait_for_url(f"**/pages/login?lang={language}")
    await expect(user.page.locator("#phone")).to_have_value(number)
    await user.fill(password=PASSWORD)
    await user.page.click("#go")
    await expect(user.page.locator("#number")).to_have_text(f"+86{number}")


async def test_a_number_without_account_leads_to_registration_with_it(visit: Visiting) -> None:
    number = fresh_number()
    user = await visit()
    await user.form("reset")
    await user.fill(phone=number)
    await user.page.click("#send")
    await user.error_of("phone")
    await user.page.locator("#phone-error a").click()
    await user.page.wait_for_url("**/pages/register?lang=en")
    await expect(user.page.locator("#phone")).to_have_value(number)


async def test_the_menu_carries_the_number_too_and_never_in_the_address(visit: Visiting) -> None:
    number = fresh_number()
    user = await visit()
    await user.form("login")
    await user.fill(phone=number)
    for name in ("Reset password", "Register", "Log in"):
        await user.page.locator(".sections").get_by_role("link", name=name).click()
        await expect(user.page.locator("#phone")).to_have_value(number)
        assert number not in user.page.url


async def test_password_managers_find_the_number_beside_the_password(visit: Visiting) -> None:
    number = fresh_number()
    user = await visit()
    await user.form("login")
    await expect(user.page.locator("#phone")).to_have_attribute("autocomplete", "username")
    await expect(user.page.locator("#password")).to_have_attribute("autocomplete", "current-password")
    for form in ("register", "reset"):
        await user.form(form)
        await user.fill(phone=number)
        await expect(user.page.locator("[autocomplete=username]")).to_have_value(number)
        await expect(user.page.locator("#password")).to_have_attribute("autocomplete", "new-password")


@pytest.mark.parametrize("form", ["register", "login"])
async def test_a_long_password_is_refused_and_never_cut(visit: Visiting, form: str) -> None:
    user = await visit()
    await user.form(form)
    await user.fill(phone=fresh_number())
    await user.paste("password", "x" * 129)
    await user.page.click("#go")
    assert await user.error_of("password") == "The password is too long"
    assert len(await user.page.input_value("#password")) == 129
