"""``/metrics`` is not public."""

from contextlib import nullcontext
from ipaddress import ip_address

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.dialect import ADDRESS
from gateway.middleware import refuse_public_metrics
from shared.errors import ServiceError


@pytest.mark.parametrize(
    ("address", "path", "refused"),
    [
        ("8.8.8.8", "/metrics", True),
        ("2001:4860:4860::8888", "/metrics", True),
        ("10.1.2.3", "/metrics", False),
        ("127.0.0.1", "/metrics", False),
        ("8.8.8.8", "/livez", False),
    ],
)
def test_metrics_are_served_to_private_networks_only(address: str, path: str, refused: bool) -> None:
    request = make_mocked_request("GET", path)
    request[ADDRESS] = ip_address(address)
    with pytest.raises(ServiceError) if refused else nullcontext():
        refuse_public_metrics(request)
