"""An SMS centre for tests, by SMPP 3.4 on 127.0.0.1: it binds, accepts messages, sends receipts, and fails on demand."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BIND, SUBMIT, DELIVER, UNBIND, ENQUIRE, RESPONSE = 0x09, 0x04, 0x05, 0x06, 0x15, 0x80000000


@dataclass(frozen=True)
class Submitted:
    source: str
    destination: str
    data_coding: int
    text: str
    registered: int


@dataclass
class Centre:
    """``status`` answers submissions and ``bind_status`` binds; ``silent`` answers none; ``receipt`` follows each one.

    ``refused`` has the sequence numbers of what the other side did not accept.
    """

    password: str = "secret"
    status: int = 0
    bind_status: int = 0
    silent: bool = False
    receipt: str = ""
    port: int = 0
    submitted: list[Submitted] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    bound: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while True:
                length, command, _, sequence = struct.unpack("!IIII", await reader.readexactly(16))
                await self.handle(command, sequence, await reader.readexactly(length - 16), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def handle(self, command: int, sequence: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if command == BIND:
            password = body.split(b"\0")[1].decode()
            status = self.bind_status or (0 if password == self.password else 0x0E)
            write_pdu(writer, RESPONSE | BIND, status, sequence, b"centre\0")
            self.bound.set()
        elif command == SUBMIT:
            self.submitted.append(parse_submission(body))
            if not self.silent:
                message_id = f"id-{len(self.submitted)}"
                write_pdu(writer, RESPONSE | SUBMIT, self.status, sequence, message_id.encode() + b"\0")
                if self.receipt:
                    write_pdu(writer, DELIVER, 0, 7, receipt_body(message_id, self.receipt))
        elif command in {UNBIND, ENQUIRE}:
            write_pdu(writer, RESPONSE | command, 0, sequence, b"")
        elif command == RESPONSE:
            self.refused.append(sequence)

    def hang_up(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()


def write_pdu(writer: asyncio.StreamWriter, command: int, status: int, sequence: int, body: bytes) -> None:
    writer.write(struct.pack("!IIII", 16 + len(body), command, status, sequence) + body)


def parse_submission(body: bytes) -> Submitted:
    _, rest = body.split(b"\0", 1)
    source, rest = rest[2:].split(b"\0", 1)
    destination, rest = rest[2:].split(b"\0", 1)
    _, rest = rest[3:].split(b"\0", 1)
    _, rest = rest.split(b"\0", 1)
    registered, _, coding, _, length = rest[:5]
    raw = rest[5 : 5 + length]
    text = raw.decode("utf-16-be") if coding == 8 else raw.decode("latin-1")
    return Submitted(source.decode(), destination.decode(), coding, text, registered)


def receipt_body(message_id: str, status: str) -> bytes:
    """A receipt in the usual format, but with dates that have seconds, which are unusual."""
    text = f"id:{message_id} sub:001 dlvrd:001 submit date:201120115900 done date:201120115903 stat:{status} err:00A text:x"
    head = b"\0" + b"\1\1" + b"8613800138000\0" + b"\0\0" + b"Haoma\0" + bytes([0x04, 0, 0]) + b"\0\0"
    return head + bytes([0, 0, 0, 0, len(text)]) + text.encode()


@asynccontextmanager
async def centre(**settings: object) -> AsyncIterator[Centre]:
    """A centre that runs for as long as the block lasts."""
    smsc = Centre(**settings)  # type: ignore[arg-type]
    server = await asyncio.start_server(smsc.serve, "127.0.0.1", 0)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
        smsc.hang_up()
