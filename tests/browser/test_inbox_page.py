"""The SMS inbox as a developer uses it: live, searched, copied from, emptied, with the keyboard alone."""

import pytest
from playwright.async_api import Locator, Page, expect
from support.browser import Visiting

pytestmark = pytest.mark.usefixtures("empty_inbox")

ANNE, BOB = "+8613800130000", "+8613900130000"


def rows(page: Page) -> Locator:
    return page.locator("#messages li")


async def test_messages_appear_by_themselves_newest_first(visit: Visiting, put) -> None:
    page = (user := await visit()).page
    await user.inbox()
    await expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()

    await put(ANNE, "first")
    await expect(rows(page)).to_have_count(1)
    await put(BOB, "<b>second</b>", purpose="reset_password")

    await expect(rows(page)).to_have_count(2)
    await expect(rows(page).first.locator(".text")).to_have_text("<b>second</b>")
    await expect(rows(page).first.locator(".tag")).to_have_text("Reset password")
    await expect(rows(page).first.locator("time")).to_have_text("just now")
    await expect(page.locator("#news")).to_contain_text("+86 139 0013 0000")


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_on_a_phone_the_time_stands_beside_the_number(visit: Visiting, put, language: str) -> None:
    for purpose in ("sign_up", "reset_password", "change_phone"):
        await put(ANNE, "hello", purpose=purpose)
    page = (user := await visit(language, 390)).page
    await user.inbox()
    for row in await rows(page).all():
        number, moment = [await row.locator(part).bounding_box() for part in (".to", "time")]
        assert number
        assert moment
        assert abs(number["y"] + number["height"] - moment["y"] - moment["height"]) < 10
        assert number["x"] + number["width"] < moment["x"]
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_search_finds_numbers_purposes_and_words_and_goes_on_being_live(visit: Visiting, put) -> None:
    await put(ANNE, "hello Anne")
    await put(BOB, "hello Bob", purpose="sign_in")
    page = (user := await visit()).page
    await user.inbox()

    for typed, count in (("hello", 2), ("to:138", 1), ("purpose:sign_in", 1), ("to:138 bob", 0)):
        await page.fill("#q", typed)
        await expect(rows(page)).to_have_count(count)
    await expect(page.get_by_role("heading", name="No messages found")).to_be_visible()
    await put(ANNE, "about Bob")
    await expect(rows(page)).to_have_count(1)
    await page.reload()
    await expect(page.locator("#q")).to_have_value("to:138 bob")

    await rows(page).locator(".tag").click()
    await expect(page.locator("#q")).to_have_value("purpose:sign_up")
    await expect(rows(page)).to_have_count(2)


async def test_one_number_has_a_view_of_its_own(visit: Visiting, put) -> None:
    await put(ANNE, "hello Anne")
    await put(BOB, "hello Bob")
    page = (user := await visit()).page
    await user.inbox()

    await page.get_by_role("link", name="+86 138 0013 0000").click()
    await expect(page.locator("#shown")).to_contain_text("Messages to +86 138 0013 0000: 1 message")
    await expect(rows(page)).to_have_count(1)

    await page.get_by_role("link", name="All messages").click()
    await expect(rows(page)).to_have_count(2)


async def test_the_keyboard_is_enough(visit: Visiting, put) -> None:
    for code in ("111111", "222222", "333333"):
        await put(ANNE, "hello", code=code)
    page = (user := await visit()).page
    await user.inbox()
    press = page.keyboard.press

    await press("j")
    await press("j")
    await press("c")
    await expect(page.locator("#news")).to_have_text("Copied: 222222")
    assert await page.evaluate("navigator.clipboard.readText()") == "222222"
    await press("ArrowDown")
    await expect(rows(page).nth(2)).to_be_focused()
    await put(ANNE, "one more", code="444444")
    await expect(rows(page)).to_have_count(4)
    await expect(rows(page).nth(3)).to_be_focused()
    await press("k")
    await expect(rows(page).nth(2)).to_be_focused()

    await press("/")
    await expect(page.locator("#q")).to_be_focused()
    await page.keyboard.type("jkc")
    await expect(page.locator("#q")).to_have_value("jkc")


async def test_deleting_asks_first_and_names_how_many(visit: Visiting, put) -> None:
    for text in ("one", "two", "three"):
        await put(ANNE, text)
    page = (user := await visit()).page
    await user.inbox("?q=two")
    await expect(rows(page)).to_have_count(1)
    delete = page.get_by_role("button", name="Delete all")

    await delete.click()
    await expect(page.get_by_role("dialog", name="Delete all 3 messages?")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(rows(page)).to_have_count(1)

    await delete.click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(rows(page)).to_have_count(0)
    await expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    await expect(delete).to_be_hidden()


async def test_a_lost_connection_shows_and_mends_itself(visit: Visiting, put) -> None:
    page = (user := await visit()).page
    await user.inbox()
    await page.route("**/inbox/state?*", lambda route: route.abort())
    await put(ANNE, "wakes the page")  # its next question fails

    await expect(page.locator("#link.offline")).to_have_text("Disconnected, reconnecting")
    await put(ANNE, "sent meanwhile")
    await page.unroute("**/inbox/state?*")

    await expect(page.locator("#link:not(.offline)")).to_have_text("Live")
    await expect(rows(page)).to_have_count(2)
    assert set(user.messages) == {"Failed to load resource: net::ERR_FAILED"}
    user.messages.clear()


async def test_without_scripts_the_inbox_can_still_be_read_and_searched(visit: Visiting, put) -> None:
    await put(ANNE, "hello Anne")
    await put(BOB, "hello Bob")
    page = (user := await visit(java_script_enabled=False)).page
    await page.goto(f"{user.sms}/inbox")

    await page.fill("#q", "bob")
    await page.press("#q", "Enter")

    await expect(rows(page)).to_have_count(1)
    await expect(rows(page).locator("time")).to_contain_text("UTC")
