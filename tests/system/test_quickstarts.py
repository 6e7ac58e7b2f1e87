"""docs/guides: the samples run as printed where this machine can run them, and have no error that a compiler finds."""

import re
from pathlib import Path

import pytest
from support.app import App, fresh_number
from support.database import Tables
from support.quickstarts import scenario
from support.quickstarts.lossy_proxy import lossy_proxy
from support.quickstarts.pages import URL, samples
from support.quickstarts.process_client import running
from support.quickstarts.tools import HERE, QUICK_START, compile_kotlin, kotlin_jars, run
from support.tools import need, node_modules

LOOSE = ("--strictNullChecks", "--noImplicitAny", "--useUnknownInCatchVariables")
"""Checks of ``--strict`` that plain JavaScript cannot satisfy."""


def mini_program(folder: Path, url: str) -> None:
    """Write the sample as a mini program has it, with the driver beside it."""
    client, login = (code.replace(URL, url) for code in samples("mini-program", "js"))
    (folder / "pages" / "login").mkdir(parents=True)
    (folder / "haoma.js").write_text(client)
    (folder / "pages" / "login" / "login.js").write_text(login)
    (folder / "driver.js").write_text((HERE / "drive.js").read_text() + (HERE / "mini_program.js").read_text())


@pytest.mark.timeout(300)
async def test_the_client_for_mini_programs_survives_a_real_network(app: App, tables: Tables, tmp_path: Path) -> None:
    need("node")
    async with lossy_proxy(app.gateway) as proxy, running(tmp_path, "node", "driver.js") as client:
        mini_program(tmp_path, proxy.url)
        await scenario.play(client, proxy, app, tables)


async def test_the_page_of_the_mini_program_logs_a_user_in(app: App, tmp_path: Path) -> None:
    need("node")
    number = fresh_number()
    mini_program(tmp_path, app.gateway)
    async with running(tmp_path, "node", "driver.js") as client:
        refused = await client.do("typeNumber", "12345")
        sent = await client.do("typeNumber", number)
        entered = await client.do("typeCode", await app.code(number))

    assert (refused["sent"], bool(refused["message"])) == (None, True)
    assert (sent["wait"], sent["message"]) == (60, "")
    assert (entered["opened"], entered["message"], entered["busy"]) == ("/pages/index/index", "", False)


async def test_the_sample_for_mini_programs_has_no_type_error(tmp_path: Path) -> None:
    mini_program(tmp_path, URL)
    (tmp_path / "node_modules").symlink_to(node_modules())
    options = (
        "--noEmit",
        "--allowJs",
        "--checkJs",
        "--strict",
        *(part for check in LOOSE for part in (check, "false")),
    )
    types = ("--types", "miniprogram-api-typings", "--lib", "es2022", "--target", "es2022")
    tsc = str(node_modules() / ".bin" / "tsc")

    assert await run(tmp_path, tsc, *options, *types, "haoma.js", "pages/login/login.js") == ""


@pytest.mark.timeout(600)
async def test_the_sample_for_android_compiles_and_its_client_survives_a_real_network(
    app: App, tables: Tables, tmp_path: Path
) -> None:
    dependencies, *parts = samples("android", "kotlin")
    sources = {f"Part{number}.kt": part for number, part in enumerate(parts)}
    sources |= {path.name: path.read_text() for path in (HERE / "Driver.kt", *(HERE / "android").glob("*.kt"))}
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    assert await compile_kotlin(tmp_path, *sources) == ""

    command = ("java", *QUICK_START, "-cp", f"classes:{kotlin_jars()}", "DriverKt")
    async with lossy_proxy(app.gateway) as proxy, running(tmp_path, *command, proxy.url) as client:
        await scenario.play(client, proxy, app, tables)
    (serialization,) = re.findall(r"kotlinx-serialization-json:([\d.]+)", dependencies)
    assert f"kotlinx-serialization-json-jvm-{serialization}.jar" in kotlin_jars()


@pytest.mark.parametrize(("page", "language"), [("ios", "swift"), ("flutter", "dart")])
async def test_samples_that_no_compiler_is_here_for_have_no_syntax_error(
    page: str, language: str, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules())
    (tmp_path / "parse.mjs").write_text((HERE / "parse.mjs").read_text())
    parts = samples(page, language)
    names = [f"part{number}.{language}" for number in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        (tmp_path / name).write_text(part)
    (tmp_path / "broken").write_text(parts[0].replace("{", "", 1))

    # The grammar of Swift is large: compiling it well would take longer than using it.
    output = await run(tmp_path, "node", "--liftoff-only", "parse.mjs", language, *names, "broken")

    assert len(parts) > 1
    assert re.findall(r"^(?!broken:).+", output, re.MULTILINE) == []
    assert "broken:" in output
