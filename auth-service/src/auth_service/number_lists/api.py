"""The internal API of this room: list all numbers, and those that were gained."""

from aiohttp import web

from auth_service.number_lists.number_lists import NumberLists
from shared.internal_api.calls import Calls
from shared.internal_api.directory import (
    LIST_GAINED_NUMBERS,
    LIST_NUMBERS,
    GainedNumbers,
    ListedNumbers,
    ListGainedNumbers,
    ListNumbers,
)

NUMBER_LISTS: web.AppKey[NumberLists] = web.AppKey("number_lists", NumberLists)
calls = Calls()


@calls.answer(LIST_NUMBERS)
async def list_numbers(app: web.Application, call: ListNumbers) -> ListedNumbers:
    return await app[NUMBER_LISTS].page(call)


@calls.answer(LIST_GAINED_NUMBERS)
async def list_gained_numbers(app: web.Application, call: ListGainedNumbers) -> GainedNumbers:
    return await app[NUMBER_LISTS].gained(call)
