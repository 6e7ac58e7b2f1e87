"""nginx with njs, from the packages of the system, in front of servers of a test."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from stack.packages import apt
from stack.ports import free_port

from support.tools import LOCAL, ROOT, alone

PACKAGES = ("nginx", "libnginx-mod-http-js")
MODULE = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")
FILES = ROOT / "deploy" / "nginx"
START_SECONDS = 30
STOP_SECONDS = 30


@cache
def nginx_path() -> str:
    """The path of nginx, which is installed first where root runs the tests. Skips the test without nginx and njs."""
    with alone(LOCAL / "nginx.lock"):
        if not _is_complete() and apt.can_install():
            for package in PACKAGES:
                apt.install(package, print)
    if not _is_complete():
        pytest.skip(f"this machine has no nginx with njs: {apt.install_command(' '.join(PACKAGES))}")
    return _find()


def _find() -> str:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or ""


def _is_complete() -> bool:
    return bool(_find()) and MODULE.is_file()


@asynccontextmanager
async def nginx(folder: Path, http: str, server: str) -> AsyncIterator[str]:
    """Run nginx with our files beside its configuration. Yields its URL; a request may be logged until it has ended."""
    port, path = free_port(), nginx_path()
    for file in FILES.iterdir():
        shutil.copy(file, folder)
    (folder / "nginx.conf").write_text(
        f"""
        load_module {MODULE};
        user root; daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
        events {{ worker_connections 256; }}
        http {{
            access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            {http}
            server {{ listen 127.0.0.1:{port}; {server} }}
        }}
        """
    )
    process = await asyncio.create_subprocess_exec(path, "-p", str(folder), "-c", "nginx.conf")
    try:
        await _until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


async def _until_it_listens(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, "nginx did not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return await writer.wait_closed()
