"""Connections are taken as long as there are files for them. Fault 111."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from ingest.listeners.accepting import PAUSE_SECONDS, SPARE, Acceptor


class Greeting(asyncio.Protocol):
    """Says hello, and goes when the client does."""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")


class Door:
    """An acceptor at a socket of loopback, with files for so many clients beside those that are open now."""

    def __init__(self, clients: int, counts: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        lowest = os.dup(0)
        os.close(lowest)
        self.files = lowest + 2 * clients + SPARE  # a client's own end is a file of this process, too
        self.acceptor = Acceptor([self.socket], Greeting, meter=counts, files=self.files)


class Counting:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def count(self, name: str, **labels: str) -> None:
        self.seen.append(f"{name} {labels['kind']}")


async def greeted(client: socket.socket, within: float) -> bool:
    """Whether the door says hello; a client that is hung up on ends the test."""
    loop = asyncio.get_running_loop()
    try:
        said = await asyncio.wait_for(loop.sock_recv(client, 5), within)
    except TimeoutError:
        return False
    assert said == b"hello"
    return True


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_who_comes_when_no_file_is_left_waits_and_is_served_later(run: Any) -> None:
    """Nobody is hung up on, it is counted, and the door opens again by itself."""

    async def play() -> None:
        meter = Counting()
        door = Door(2, meter)
        door.acceptor.start()
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            clients = []
            for _ in range(4):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)  # noqa: FBT003 - named by the standard library
                await loop.sock_connect(client, door.socket.getsockname())
                clients.append(client)
            answers = [await greeted(client, PAUSE_SECONDS / 2) for client in clients]
            assert answers.count(False) > 0
            assert "limit_total files" in meter.seen
            for client in [one for one, answer in zip(clients, answers, strict=True) if answer]:
                client.close()
            late = [one for one, answer in zip(clients, answers, strict=True) if not answer]
            for client in late:
                assert await greeted(client, PAUSE_SECONDS * 10)
                client.close()
        door.acceptor.close()
        door.acceptor.close()

    run(play())


def test_a_closed_door_takes_nobody() -> None:
    async def play() -> None:
        door = Door(9, Counting())
        door.acceptor.start()
        address = door.socket.getsockname()
        door.acceptor.close()
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(address)

    uvloop.run(play())
