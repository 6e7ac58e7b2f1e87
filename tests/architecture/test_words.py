"""The vocabulary: one word for one thing, the field's own, and English that names who acts."""

import re
from collections.abc import Iterator

import pytest
from architecture.tree import ROOT, Module, files, modules, modules_of_tests

MAX_VAGUE_PRONOUNS = 15
VAGUE_PRONOUNS = re.compile("|".join(("who" + "ever", "no" + "body", "what" + "ever", "some" + "body")), re.IGNORECASE)
PROSE = {".py", ".md", ".sql", ".lua", ".js", ".css", ".html", ".sh", ".toml", ".yml"}

MODULES = {
    "happenings", "diary", "story", "telling", "verdicts", "entries", "rows", "asked", "sparing", "origins", "trials",
    "families", "turns", "owners", "ticketing", "facts", "judge", "areas", "watch", "carriers", "breakers", "wording",
    "meetings", "segmentation", "gather", "link", "edge", "hooks", "installed", "seals", "bodies", "leftovers",
    "follow", "inside", "identity", "obituary", "speakers", "yardsticks", "guessers", "purse", "contracts",
    "timeline",
}  # fmt: skip
CLASSES = {
    "What", "Death", "Verdict", "Story", "Telling", "Sparing", "Origin", "Proven", "Families", "Turn", "Turns",
    "Link", "TicketBooth", "TicketDesk", "Fact", "SpendingFact", "Codes", "Try", "Passed", "Dispatch", "Standing",
    "Purse", "Gate", "Watch", "Judge", "Area", "Carriers", "Answer", "Ending", "Past", "Fate", "PaidLedger",
    "TooDear", "TooDearError", "Gather", "Apart", "Occasion", "Wire", "Peer", "Ear", "Charge", "Entry", "Follower",
    "Sieve", "Handle",
}  # fmt: skip
FUNCTIONS = {
    "tell", "told", "may_say", "absolve", "unblamed", "scrubbed", "nonsense", "move_on", "honest", "farewell",
    "reach", "ask", "hopeless", "undone", "sign_up", "sign_in", "open_account", "enter", "obituary",
}  # fmt: skip
LOCALS = {"taken", "told", "held", "said", "asked", "given"}
TABLES = {
    "sends", "traffic", "numbers", "turns", "spending_stages", "guessers", "happenings", "families", "trials",
    "audit", "login_attempts",
}  # fmt: skip
SETTINGS = ("SMS_ROUTES", "SEAL_KEYS", "COUNTRIES", "HASH_THREADS", "HASH_QUEUE")
TEXTS = {
    "event": re.compile(r"sms\.spending\.\w+\.v1"),
    "metric": re.compile(r"haoma_http_request_seconds|caller_limits_deciding"),
    "command": re.compile(r"sms_service deliver\b|spending resume\b"),
    "setting": re.compile(rf"(?<![\w.])({'|'.join(SETTINGS)})(?!\w)"),
    "log fact": re.compile(r"\.away\b"),
}


def prose() -> Iterator[tuple[str, str]]:
    """Every source and document, without this list of words."""
    for path in files():
        if path.suffix in PROSE and path.name != "test_words.py":
            yield str(path.relative_to(ROOT)), path.read_text()


def everything() -> Iterator[Module]:
    yield from (module for module in modules() if module.package != "site")  # MkDocs has its own names
    yield from modules_of_tests()


def test_sentences_name_who_acts() -> None:
    hits = {where: len(VAGUE_PRONOUNS.findall(text)) for where, text in prose()}
    assert sum(hits.values()) <= MAX_VAGUE_PRONOUNS, {where: count for where, count in hits.items() if count}


def test_modules_have_the_words_of_their_field() -> None:
    assert [module.where for module in everything() if MODULES & set(module.name.split("."))] == []


def test_classes_have_the_words_of_their_field() -> None:
    old = [
        (module.where, node.name)
        for module in everything()
        for node in module.classes
        if node.name in CLASSES or node.name.endswith("Book")
    ]
    assert old == []


def test_functions_have_the_words_of_their_field() -> None:
    assert [(module.where, name) for module in modules() for name, _ in module.functions if name in FUNCTIONS] == []


def test_variables_say_what_they_contain() -> None:
    old = {module.where: sorted(LOCALS & set(module.bindings)) for module in everything()}
    assert {where: names for where, names in old.items() if names} == {}


def test_tables_have_the_words_of_their_field() -> None:
    created = {
        name
        for module in modules()
        if "migrations" in module.name
        for text in module.strings
        for name in re.findall(r"create (?:unlogged )?table (?:if not exists )?(\w+)", text)
    }
    assert created & TABLES == set()


@pytest.mark.parametrize("kind", TEXTS)
def test_no_old_name_is_left(kind: str) -> None:
    current = ((where, text) for where, text in prose() if where != "CHANGELOG.md")
    assert [(where, match[0]) for where, text in current for match in TEXTS[kind].finditer(text)] == []
