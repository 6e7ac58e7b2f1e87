"""The keys in the URLs of receipts: while one is replaced, both are accepted."""

from contextlib import nullcontext

import pytest
from pydantic import SecretStr

from shared.errors import ServiceError
from sms_service.receipts.readers import AliyunReader, TencentReader
from sms_service.receipts.receipts import ReceiptCallback


@pytest.mark.parametrize("reader", [AliyunReader, TencentReader])
@pytest.mark.parametrize(
    ("keys", "key", "accepted"),
    [
        ("old", "old", True),
        ("old", "new", False),
        ("new,old", "old", True),
        ("new,old", "new", True),
        ("new", "old", False),
        ("new,old", "new,old", False),
        ("new,old", "", False),
    ],
)
def test_either_of_two_keys_opens(
    reader: type[AliyunReader | TencentReader], keys: str, key: str, accepted: bool
) -> None:
    callback = ReceiptCallback("https://api.example.com/hooks/sms/one", {"key": key}, {}, b"[]")
    with nullcontext() if accepted else pytest.raises(ServiceError):
        reader(SecretStr(keys)).read(callback)
