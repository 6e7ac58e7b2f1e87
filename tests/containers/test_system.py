"""The system runs from its images: through TLS, on two replicas of everything, while replicas are killed and return."""

import asyncio
import contextlib
import re
import time
from collections import Counter

import aiohttp
import pytest
from architecture.tree import ROOT
from containers.conftest import REPLICATED, Composed, is_ready, metrics
from containers.journeys import Exchange, Kill, Users

USERS = 8
KILLED = ("gateway", "auth-service", "sms-service", "contacts-service", "sms-worker")


async def test_a_user_registers_logs_in_and_looks_for_contacts_through_tls(users: Users) -> None:
    await users.journey()
    assert [each for each in users.exchanges if each.failed] == []


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_the_edge_shows_nothing_of_the_inside(users: Users, path: str) -> None:
    async with users.http.get(users.edge + path) as response:
        assert response.status == 404


async def test_operators_have_a_port_of_their_own_to_which_the_edge_does_not_lead(
    users: Users, composed: Composed
) -> None:
    call, body = "/v1/find", {"phone": await users.journey(), "reason": "ticket 4711"}
    headers = {"Authorization": f"Bearer {composed.operator_key}"}
    async with users.http.post(composed.operators + call, json=body) as stranger:
        assert stranger.status == 401
    async with users.http.post(composed.operators + call, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert body["phone"] in (await response.json())["phone"]
    async with users.http.post(users.edge + call, json=body, headers=headers) as outside:
        assert outside.status == 404


async def test_plain_http_leads_to_tls(users: Users, composed: Composed) -> None:
    async with users.http.get(composed.plain + "/livez", allow_redirects=False) as response:
        assert response.status in {301, 308}
        assert response.headers["Location"].startswith("https://localhost")


async def test_certificates_are_verified(composed: Composed) -> None:
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(composed.edge + "/livez")


async def test_processes_have_no_rights_and_no_way_to_change_their_files(composed: Composed) -> None:
    program = """
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(status["Uid"].split()[0], int(status["CapBnd"], 16), status["NoNewPrivs"].strip(), status["Seccomp"].strip())
try:
    open("/app/changed", "w")
except OSError as error:
    print(error.errno)
"""
    for service in (*REPLICATED, "operator-api"):
        for replica in composed.engine.replicas(service):
            assert composed.engine.python(replica, program).split() in (
                ["10001", "0", "1", "2", "30"],
                ["10001", "0", "1", "2", "13"],
            )


async def test_no_log_of_the_edge_has_a_query_or_a_token(users: Users, composed: Composed) -> None:
    """A gateway that does not answer makes the edge write a line about the request."""
    gateways = composed.engine.replicas("gateway")
    composed.engine.run("pause", *gateways)
    try:
        headers = {"Authorization": "Bearer secret-token"}
        async with users.http.get(users.edge + "/v1/any.json?verify_code=271828", headers=headers) as response:
            assert response.status >= 500
    finally:
        composed.engine.run("unpause", *gateways)
    log = composed.engine.logs("edge")
    assert "http.log.error" in log
    assert "271828" not in log
    assert "secret-token" not in log


async def test_with_a_replica_of_each_process_killed_only_requests_on_its_connections_fail(
    users: Users, composed: Composed
) -> None:
    engine, kills = composed.engine, list[Kill]()
    before = len(users.exchanges)
    async with users.busy(USERS):
        await users.more_journeys(USERS)
        for service in KILLED:
            victim = engine.replicas(service)[0]
            began = time.monotonic()
            await asyncio.to_thread(engine.run, "kill", "--signal", "KILL", victim)
            kills.append(Kill(service, began, time.monotonic()))
            await users.more_journeys(USERS)
            await asyncio.to_thread(engine.run, "start", victim)
            await until_ready(composed, victim)
    made = users.exchanges[before:]
    lost = [each for each in made if each.failed]
    print(f"\n{len(made)} requests, {len(KILLED)} replicas killed: {len(lost)} requests lost on their connections")
    assert [described(each, kills) for each in users.failures_beside(kills)] == []


def described(failure: Exchange, kills: list[Kill]) -> str:
    """A failure, and how long after which kill it began."""
    before = [kill for kill in kills if kill.ended <= failure.began]
    since = f"{failure.began - before[-1].ended:.1f} s after the kill of {before[-1].service}" if before else "before"
    return f"{failure.path} {failure.status} {failure.code} in {failure.ended - failure.began:.1f} s, {since}"


async def test_calls_are_spread_over_the_replicas_and_reach_one_that_was_started_again(
    users: Users, composed: Composed
) -> None:
    served = [name for name in REPLICATED if name != "sms-worker"]
    replicas = [replica for service in served for replica in composed.engine.replicas(service)]
    before = {replica: await asyncio.to_thread(requests, composed, replica) for replica in replicas}
    async with users.busy(USERS), asyncio.timeout(150):
        while before:
            for replica in list(before):
                if await asyncio.to_thread(requests, composed, replica) > before[replica]:
                    del before[replica]


async def test_prometheus_hears_every_replica_and_knows_the_alerts(users: Users, monitored: Composed) -> None:
    wanted = {**dict.fromkeys(REPLICATED, 2), "operator-api": 1, "rabbitmq": 1}
    async with asyncio.timeout(120):
        while (heard := await targets_up(users, monitored)) != wanted:
            await asyncio.sleep(0.5)
    async with users.http.get(f"{monitored.prometheus}/api/v1/rules") as response:
        groups = (await response.json())["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    print(f"\nPrometheus hears {sum(heard.values())} targets and knows {len(rules)} alerts")
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}  # unknown until it is evaluated
    assert len(rules) == (ROOT / "deploy/monitoring/alerts.yml").read_text().count("- alert: ")


async def targets_up(users: Users, monitored: Composed) -> dict[str, int]:
    """How many targets of each job answer Prometheus."""
    with contextlib.suppress(aiohttp.ClientError):
        async with users.http.get(f"{monitored.prometheus}/api/v1/targets") as response:
            targets = (await response.json())["data"]["activeTargets"]
        return dict(Counter(each["labels"]["job"] for each in targets if each["health"] == "up"))
    return {}


def requests(composed: Composed, replica: str) -> float:
    """How many requests a replica has answered."""
    counts = re.findall(
        r"^haoma_http_request_duration_seconds_count\S* (\S+)$", metrics(composed.engine, replica), re.MULTILINE
    )
    return sum(float(count) for count in counts)


async def until_ready(composed: Composed, replica: str) -> None:
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(is_ready, composed.engine, replica):
            await asyncio.sleep(0.5)
