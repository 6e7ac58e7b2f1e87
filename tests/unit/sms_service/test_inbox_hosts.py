"""The hosts of the inbox: addresses and names that strangers cannot have."""

import pytest

from sms_service.inbox.host_check import is_private


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8082", "127.0.0.1:8082", "192.168.1.20:8082", "[::1]:8082", "[::ffff:127.0.0.1]", "inbox:8082",
     "annes-laptop.local:8082", "inbox.haoma.svc.cluster.local", "host.docker.internal", "", "localhost.:8082"],
)  # fmt: skip
def test_addresses_and_private_names_reach_the_inbox(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8082", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.",
     "notlocal.localx", "[::1", "xlocal.com:8082"],
)  # fmt: skip
def test_public_names_do_not_reach_the_inbox(host: str) -> None:
    assert not is_private(host)
