"""``python root.py TARGET FOLDER...``: the root of an image, with Python and the libraries that FOLDERs load, no more.

It has no shell, no installer and no setuid file. The Debian packages that the files come from are listed in
``/var/lib/dpkg/status.d``, where scanners look for them, and their licences are in ``/usr/share/doc``.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

UID = 10001
ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/:/nonexistent\nhaoma:x:{UID}:{UID}:haoma:/nonexistent:/nonexistent\n",
    "etc/group": f"root:x:0:\nhaoma:x:{UID}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
COPIED = ("/etc/os-release", "/etc/ssl/certs/ca-certificates.crt", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
FOLDER_LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Folders that Debian keeps under ``/usr`` and links to."""

UNUSED = ("config-*", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter", "turtle*")
"""Parts of Python's library that install packages, draw windows or test Python."""

LOADED_BY_NAME = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
"""Libraries that glibc opens itself: threads that end, and look-ups of names."""

LINKED = re.compile(r"(/\S+) \(0x")
DOCUMENTS = Path("/usr/share/doc")


def main() -> None:
    target, folders = Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]
    library = Path(sysconfig.get_path("stdlib"))
    copy_python(library, target)
    libraries = loaded([Path(sys._base_executable).resolve(), *files_of([library, *folders])])  # noqa: SLF001
    for path in sorted(libraries):
        copy(path, target)
    for path in (Path(name) for name in COPIED):
        copy(path, target)
    for name, text in ACCOUNTS.items():
        (target / name).write_text(text)
    (target / "tmp").mkdir()
    (target / "tmp").chmod(0o1777)
    link_folders(target)
    subprocess.run(["ldconfig", "-r", target], check=True)
    for package in owners([*libraries, Path("/etc/ssl/certs"), *map(Path, COPIED)]):
        record(package, target)


def copy_python(library: Path, target: Path) -> None:
    """The interpreter and its standard library, compiled."""
    program = Path(sys._base_executable).resolve()  # noqa: SLF001  of a virtual environment's Python
    copy(program, target)
    for name in ("python", "python3"):
        (target / program.parent.relative_to("/") / name).symlink_to(program.name)
    unused = shutil.ignore_patterns("__pycache__", "*.a", *UNUSED)
    copied = target / library.relative_to("/")
    shutil.copytree(library, copied, ignore=unused, symlinks=True)
    compiling = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        target,
        copied,
    ]
    subprocess.run(compiling, check=True)


def files_of(folders: Iterable[Path]) -> list[Path]:
    """The shared libraries in folders."""
    return [path for folder in folders for path in folder.rglob("*.so*") if path.is_file()]


def loaded(programs: Iterable[Path]) -> set[Path]:
    """The libraries that programs and libraries load, of the system's."""
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)  # fails for static ones
    found = {Path(name) for name in LINKED.findall(done.stdout)}
    system = {path for path in found if not path.is_relative_to("/opt")}
    beside = next(path for path in system if path.name == "libc.so.6").parent
    return system | {beside / name for name in LOADED_BY_NAME if (beside / name).exists()}


def copy(path: Path, target: Path) -> None:
    """Copy a file or folder to the same place in the target; a file that is a link, with the file that it leads to."""
    place = target / under_usr(path).relative_to("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place, dirs_exist_ok=True)
    elif path.resolve().name != path.name and path.resolve().parent == path.parent.resolve():
        copy(path.resolve(), target)
        place.unlink(missing_ok=True)
        place.symlink_to(path.resolve().name)
    else:
        shutil.copy2(path, place)


def under_usr(path: Path) -> Path:
    """The path without the links from ``/lib`` and the like to ``/usr``."""
    first = path.parts[1]
    return Path("/usr", *path.parts[1:]) if first in FOLDER_LINKS and Path("/", first).is_symlink() else path


def link_folders(target: Path) -> None:
    for name in FOLDER_LINKS:
        if (target / "usr" / name).is_dir():
            (target / name).symlink_to(f"usr/{name}")


def owners(paths: Iterable[Path]) -> set[str]:
    """The Debian packages that own files. A file of no package, such as Python's own, has none."""
    names = sorted({str(each) for path in paths for each in (path, path.resolve(), under_usr(path))})
    spelled = names + [name.removeprefix("/usr") for name in names if name.startswith("/usr/lib")]
    done = subprocess.run(["dpkg-query", "-S", *spelled], capture_output=True, text=True, check=False)
    packages = {line.rpartition(": ")[0] for line in done.stdout.splitlines() if not line.startswith("diversion")}
    return {name.strip() for package in packages for name in package.split(",")} | {"base-files", "ca-certificates"}


def record(package: str, target: Path) -> None:
    """Write down a package and its licence."""
    name = package.partition(":")[0]
    status = subprocess.run(["dpkg-query", "-s", package], capture_output=True, text=True, check=True).stdout
    listed = target / "var/lib/dpkg/status.d"
    listed.mkdir(parents=True, exist_ok=True)
    (listed / name).write_text(status)
    licence = DOCUMENTS / name / "copyright"
    if licence.exists():
        copy(licence.resolve() if licence.is_symlink() else licence, target)


if __name__ == "__main__":
    main()
