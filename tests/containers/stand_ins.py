"""Images that stand in for those of a registry, where none can be reached: Debian with the programs of Python wheels.

They prove nothing about the real images: neither their versions, nor their entry points, nor their sizes.
"""

import hashlib
import shutil
import subprocess
import sysconfig
from pathlib import Path

from containers.engine import Engine
from support.tools import LOCAL

SCRIPTS = Path(__file__).parent / "stand_ins"
PULL_SECONDS = 60
STAND_IN = "haoma.stand-in"
VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SCRIPTS.glob("*.sh")))).hexdigest()[:12]
"""Of the scripts that make them: an image of another version is made again."""
# How each of these images starts.
SETTINGS = {
    "caddy": (
        'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]',
        "ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config",
    ),
    "postgres": ('ENTRYPOINT ["postgres-entrypoint.sh"]',),
    "prom/prometheus": ('ENTRYPOINT ["prometheus"]', "USER 65534", "WORKDIR /prometheus"),
    "python": ("ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin",),
    "rabbitmq": ('ENTRYPOINT ["docker-entrypoint.sh"]',),
    "valkey/valkey": ("WORKDIR /data",),
}


def provide(engine: Engine, image: str) -> bool:
    """Get an image, from a registry or by building a stand-in. Returns whether it is a stand-in."""
    if _succeeds(engine, "image", "inspect", image):
        made_by = (engine.inspect(image)["Config"].get("Labels") or {}).get(STAND_IN)
        if made_by in {None, VERSION}:
            return made_by is not None
    if not engine.is_podman or _succeeds(engine, "pull", "-q", image):
        return False
    _import(engine, image, _folder(image))
    return True


def is_available(engine: Engine, image: str) -> bool:
    """Get an image, or a stand-in if there is one. Returns whether there is either."""
    if image.partition(":")[0] in SETTINGS:
        provide(engine, image)
        return True
    return not engine.is_podman or _succeeds(engine, "pull", "-q", image)


def _succeeds(engine: Engine, *words: str) -> bool:
    command = (engine.program, *words)
    try:
        done = subprocess.run(command, env=engine.environ, capture_output=True, timeout=PULL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _folder(image: str) -> Path:
    """The root file system that stands in for an image, made if it is not there."""
    folder, site = LOCAL / "stand-ins", Path(sysconfig.get_path("purelib"))
    folder.mkdir(parents=True, exist_ok=True)
    programs = [str(_program(name)) for name in ("valkey-server", "caddy")]
    with (folder / "build.log").open("w") as log:
        command = ["bash", SCRIPTS / "build.sh", folder, site, *programs]
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    return folder / ("python" if image.startswith("python:") else "servers")


def _program(name: str) -> Path:
    """A program that a Python package of this environment brings."""
    site = Path(sysconfig.get_path("purelib"))
    found = shutil.which(name, path=sysconfig.get_path("scripts"))
    binaries = [path for path in site.rglob(name) if path.is_file() and path.stat().st_size > 1_000_000]
    return Path(found) if found and Path(found).stat().st_size > 1_000_000 else binaries[0]


def _import(engine: Engine, image: str, root: Path) -> None:
    """Make an image of a root file system: the file system once, and a layer of settings for each image."""
    name, base = image.partition(":")[0], f"localhost/haoma-stand-in-{root.name}:{VERSION}"
    if not _succeeds(engine, "image", "inspect", base):
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packing:
            command = [engine.program, "import", "-q", "-", base]
            subprocess.run(command, env=engine.environ, stdin=packing.stdout, check=True, stdout=subprocess.DEVNULL)
    settings = "\n".join((f"FROM {base}", f"LABEL {STAND_IN}={VERSION}", *SETTINGS[name]))
    engine.run("build", "--pull=never", "-q", "-f", "-", "-t", f"localhost/{image}", str(SCRIPTS), input=settings)
