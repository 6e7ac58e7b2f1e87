"""``docs/moving-in/shadow.md``: its samples are what the command reads."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from support.tools import need

from gateway.shadow.differences.expectations import Expectations
from gateway.shadow.recorded.recording import read_call

PAGE = (Path(__file__).parents[4] / "docs" / "moving-in" / "shadow.md").read_text()


def samples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_sample_of_a_recorded_call_is_read() -> None:
    call = read_call(samples("json")[0].encode())
    assert json.loads(call.content)["phone_number"] == "13800138000"
    assert json.loads(call.response.content) == {"error_code": "20000", "error_message": "密码错误"}


def test_the_samples_of_expectations_are_read(tmp_path: Path) -> None:
    (tmp_path / "expected").write_text(samples("json")[1])
    assert len(Expectations.read(tmp_path / "expected").all) == 2


def test_the_command_for_a_har_file_writes_recorded_calls(tmp_path: Path) -> None:
    need("jq")
    (command,) = [each for each in samples("sh") if "app.har" in each]
    (tmp_path / "app.har").write_text(json.dumps({"log": {"entries": [har_entry()]}}))

    subprocess.run(command, shell=True, cwd=tmp_path, check=True)

    call = read_call((tmp_path / "calls.ndjson").read_bytes())
    assert (call.method, call.path, call.content) == ("POST", "/users?a=1", b"{}")
    assert call.headers == {"content-type": "application/json"}
    assert (call.response.status, call.response.content) == (200, b'{"a":"\xe5\x8f\xb7"}')


def har_entry() -> dict[str, Any]:
    headers = [{"name": ":authority", "value": "a.example"}, {"name": "Content-Type", "value": "application/json"}]
    request = {"method": "POST", "url": "https://a.example/users?a=1", "headers": headers, "postData": {"text": "{}"}}
    response = {"status": 200, "headers": headers[1:], "content": {"text": '{"a":"号"}'}}
    return {"startedDateTime": "2026-11-30T08:00:00.000Z", "request": request, "response": response}
