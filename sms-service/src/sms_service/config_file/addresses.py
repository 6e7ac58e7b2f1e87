"""Addresses in the settings file. One that a library would refuse later is refused when the file is read."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_CHARACTERS = re.compile(r"[^\s\x00-\x1f\x7f\\]+")
MAX_NAME_LENGTH = 253


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_host(host: str) -> bool:
    """Whether it is an IP address or a valid DNS name."""
    if _is_ip(host):
        return True
    try:
        labels = host.encode("idna").decode().removesuffix(".").split(".")
    except UnicodeError:
        return False
    is_name = all(_LABEL.fullmatch(label) for label in labels) and len(".".join(labels)) <= MAX_NAME_LENGTH
    return is_name and not labels[-1].isdigit()


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a valid host and port; None if it has none."""
    if not _CHARACTERS.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    written = re.escape(f"[{host}]" if ":" in host else host)
    whole = re.fullmatch(rf"([^\[\]]*@)?{written}(:[0-9]+)?", parts.netloc, re.IGNORECASE)
    return parts if whole and _is_host(host) and port != 0 else None


def _http_url(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or "?" in url or "#" in url:
        raise ValueError("expected an address such as https://sms.example.com/send, without ? and #")
    return url


def _host(text: str) -> str:
    if not _is_host(text):
        raise ValueError("expected a host name or an IP address")
    return text


def _host_and_port(text: str) -> str:
    parts = _split(f"//{text}")
    if parts is None or parts.netloc != text or "@" in text:
        raise ValueError("expected a host name, with or without a port, such as sms.example.com:8443")
    return text


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Host = Annotated[str, AfterValidator(_host)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
