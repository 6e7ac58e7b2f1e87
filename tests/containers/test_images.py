"""What is in the images, and what is not."""

import io
import json
import stat
import subprocess
import tarfile

import pytest
from architecture.tree import SERVICES
from containers.conftest import LABELS, SENDERS
from containers.engine import Engine

MAX_OVER_PYTHON = 120 * 10**6
OURS = ("opt/", "app/")
SHELLS_AND_INSTALLERS = {
    "apt", "apt-get", "ash", "bash", "busybox", "curl", "dash", "dpkg", "ensurepip", "ld", "make", "perl", "pip", "pip3", "sh",
    "su", "sudo", "wget", "gcc",
}  # fmt: skip


@pytest.fixture(params=SERVICES)
def image(request: pytest.FixtureRequest, images: dict[str, str]) -> str:
    return images[request.param]


def contents(engine: Engine, image: str) -> tarfile.TarFile:
    """The file system of an image."""
    container = engine.run("create", image)
    try:
        command = (engine.program, "export", container)
        packed = subprocess.run(command, env=engine.environ, stdout=subprocess.PIPE, check=True).stdout
    finally:
        engine.run("rm", container)
    return tarfile.open(fileobj=io.BytesIO(packed))


def test_an_image_has_no_shell_no_installer_no_setuid_file_and_nothing_that_its_user_can_change(
    engine: Engine, image: str
) -> None:
    with contents(engine, image) as files:
        members = files.getmembers()
    runnable = {entry.name.rpartition("/")[2] for entry in members if not entry.isdir()}
    folders = {entry.name.rpartition("/")[2] for entry in members if entry.isdir()}

    assert runnable & SHELLS_AND_INSTALLERS == set()
    assert folders & {"pip", "setuptools", "ensurepip"} == set()
    assert [entry.name for entry in members if entry.mode & (stat.S_ISUID | stat.S_ISGID)] == []
    assert [entry.name for entry in members if entry.uid == 10001 or entry.gid == 10001] == []
    writable = [entry.name for entry in members if entry.mode & stat.S_IWOTH and not entry.issym()]
    assert set(writable) <= {"tmp", "tmp/"}


def test_what_we_add_to_python_is_small(engine: Engine, image: str) -> None:
    with contents(engine, image) as files:
        members = files.getmembers()
    ours = sum(entry.size for entry in members if entry.name.startswith(OURS))
    print(f"\n{image}: {ours / 1e6:.0f} MB of ours, {sum(entry.size for entry in members) / 1e6:.0f} MB in all")
    assert ours <= MAX_OVER_PYTHON


def runs_python(engine: Engine, image: str, program: str) -> str:
    """What a Python program prints in an image, which has no network."""
    restricted = ("--rm", "--read-only", "--cap-drop=ALL", "--network=none")
    return engine.run("run", *restricted, "--entrypoint", "python", image, "-c", program)


def test_an_image_has_the_packages_that_record_spans(engine: Engine, image: str) -> None:
    program = "from shared.process.tracing import spans; print(spans.TracerProvider.__module__)"
    assert runs_python(engine, image, program) == "opentelemetry.sdk.trace"


def test_an_image_can_load_each_of_its_libraries(engine: Engine, image: str) -> None:
    program = """
import ctypes, pathlib
for path in sorted(pathlib.Path("/opt").rglob("*.so*")):
    ctypes.CDLL(str(path))
    print(path)
"""
    assert "uvloop" in runs_python(engine, image, program)


def test_an_image_has_the_libraries_of_the_senders_that_were_chosen_and_no_other(
    engine: Engine, images: dict[str, str], image_with_senders: str
) -> None:
    found = f"""
import importlib
for name in {SENDERS}:
    try:
        importlib.import_module("sms_service.senders." + name)
        print(name)
    except ImportError:
        pass
"""
    assert runs_python(engine, image_with_senders, found).split() == list(SENDERS)
    assert runs_python(engine, images["sms-service"], found).split() == []
    with contents(engine, image_with_senders) as files:
        sizes = [entry.size for entry in files.getmembers() if entry.name.startswith(OURS)]
    print(f"\nwith every sender: {sum(sizes) / 1e6:.0f} MB of ours")


def test_an_image_says_what_it_is_and_runs_as_an_ordinary_user(engine: Engine, image: str) -> None:
    config = engine.inspect(image)["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}

    assert config["User"] == "10001:10001"
    assert {name: labels[name.lower()] for name in LABELS} == LABELS
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"].startswith("python:3.11.")


def test_an_image_lists_its_packages_and_has_their_licences(engine: Engine, image: str) -> None:
    with contents(engine, image) as files:
        document = json.load(files.extractfile("app/sbom.cdx.json"))
        names = {name for name in files.getnames() if "__pycache__" not in name}
    installed = {name.split("/")[-1].split("-")[0].lower() for name in names if name.endswith(".dist-info")}
    listed = {each["name"]: each for each in document["components"]}
    debian = {name for name, each in listed.items() if each["purl"].startswith("pkg:deb/")}

    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["version"] == LABELS["VERSION"]
    assert installed <= {name.lower().replace("-", "_").replace(".", "_") for name in listed}
    assert {"libc6", "ca-certificates"} <= debian
    assert [name for name, each in listed.items() if not each.get("licenses")] == []
    assert {name for name in debian if f"usr/share/doc/{name}/copyright" not in names} == set()
    assert "app/LICENSE" in names


def test_an_image_without_settings_ends_with_a_line_for_each_that_is_missing(engine: Engine, image: str) -> None:
    command = (engine.program, "run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", image)
    done = subprocess.run(command, env=engine.environ, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()

    assert done.returncode not in {0, 125, 126, 127}
    assert "Traceback" not in done.stdout + done.stderr
    assert any("_TOKEN" in line for line in lines)
