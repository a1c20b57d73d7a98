"""The webhook door as monitors use it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from desk.receive import NotKept, post_receipt_key

if TYPE_CHECKING:
    from tests.conftest import WebDoor

BODY = b'{"version": "4", "groupKey": "{}", "alerts": [{"status": "firing", "labels": {"alertname": "DiskFull"}}]}'


def test_a_post_is_kept_before_its_yes(web_door: WebDoor) -> None:
    """The answer counts what will be signals and names the receipt."""
    status, headers, answer = web_door.post(BODY, User_Agent="Alertmanager/0.25")
    assert (status, answer) == (202, {"accepted": 1, "refused": [], "id": 1})
    assert headers["content-type"] == "application/json"
    assert "server" not in headers
    receipt = web_door.kept[0]
    assert (receipt.source, receipt.format, receipt.body, receipt.key) == ("prom", "alertmanager", BODY, None)
    assert receipt.envelope == {"type": "application/json", "peer": "127.0.0.1", "agent": "Alertmanager/0.25"}
    assert web_door.counts.seen["ingest_total accepted prom"] == 1


def test_no_yes_before_the_commit(web_door: WebDoor) -> None:
    """The answer waits for the committer."""
    web_door.gate.clear()
    with web_door.talk() as talk:
        talk.send(
            f"POST /ingest/prom/{web_door.token} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        )  # fmt: skip
        talk.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            talk.socket.recv(1)
        talk.socket.settimeout(10)
        web_door.gate.set()
        assert talk.socket.recv(1000).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_token_may_stand_in_the_path_and_put_is_as_good(web_door: WebDoor, method: str) -> None:
    """Most senders can't set headers, and some only know PUT."""
    client = HTTPConnection("127.0.0.1", web_door.address[1], timeout=10)
    try:
        for _ in range(3):  # on one connection
            client.request(method, f"/ingest/prom/{web_door.token}", BODY, {"Content-Type": "application/json"})
            answer = client.getresponse()
            assert (answer.status, json.loads(answer.read())["accepted"]) == (202, 1)
    finally:
        client.close()


@pytest.mark.parametrize("failure", [NotKept(), RuntimeError("inside of the desk")])
def test_what_can_not_be_kept_is_to_be_sent_again(web_door: WebDoor, failure: Exception) -> None:
    """Fault 20: 503 with Retry-After, never 429 or 500; and nothing of the inside."""
    web_door.failure = failure
    status, headers, problem = web_door.post(BODY)
    assert status == 503
    assert int(headers["retry-after"]) > 0
    assert problem["code"] == "unavailable"
    assert "inside" not in problem["detail"]
    web_door.failure = None
    assert web_door.post(BODY)[0] == 202


def test_a_desk_that_takes_nothing_says_so_at_once(web_door: WebDoor) -> None:
    """Fault 20: not even the body is read."""
    web_door.ready = False
    status, headers, _ = web_door.post(BODY)
    assert (status, "retry-after" in headers) == (503, True)


def test_bodies_being_received_share_a_bounded_room(open_web_door: Callable[..., WebDoor]) -> None:
    """G9, fault 62: who finds none is told when to come back."""
    door = open_web_door(memory=100_000)
    head = f"POST /ingest/prom/{door.token} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
    with door.talk() as first, door.talk() as second:
        first.send(f"{head}100001\r\n\r\n".encode() + b" " * 90_000)
        wait_until(lambda: door.door._room.used >= 60_000)
        second.send(f"{head}50000\r\n\r\n".encode() + b" " * 40_000)
        answer = second.rest()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer
    assert door.counts.seen["limit_total http_memory"] == 1
    assert door.post(BODY)[0] == 202


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 202), ("application/json; charset=utf-8", 202), ("text/plain; charset=UTF-8", 202),
        ("application/cloudevents+json", 202), ("Application/JSON", 202), ("application/x-www-form-urlencoded", 415),
        ("text/html", 415), ("application/xml", 415), ("multipart/form-data; boundary=x", 415),
    ],
)  # fmt: skip
def test_json_is_taken_under_any_of_its_names(web_door: WebDoor, kind: str, status: int) -> None:
    """415 for all else, so that a form of a browser is never a post."""
    assert web_door.post(BODY, Content_Type=kind)[0] == status


def test_other_methods_are_told_which_one(web_door: WebDoor) -> None:
    """405 with Allow."""
    client = HTTPConnection("127.0.0.1", web_door.address[1], timeout=10)
    try:
        client.request("GET", "/ingest/prom")
        answer = client.getresponse()
        assert (answer.status, answer.getheader("allow")) == (405, "POST, PUT")
        answer.read()
    finally:
        client.close()


def test_other_paths_are_the_consoles(web_door: WebDoor) -> None:
    """The door hands on what is not its own."""
    assert web_door.post(BODY, "/elsewhere")[0] == 404
    assert web_door.post(BODY, "/ingestion")[0] == 404
    assert web_door.kept == []


@pytest.mark.parametrize(
    ("headers", "body", "sender_id"),
    [
        ({"Idempotency_Key": "k"}, BODY, "k"),
        ({"X_Amz_Sns_Message_Id": "m"}, BODY, "m"),
        ({"Ce_Id": "1", "Ce_Source": "/a"}, BODY, "/a\n1"),
        ({"Content_Type": "application/cloudevents+json"}, b'{"id": "1", "source": "/a", "data": 1}', "/a\n1"),
        ({"Content_Type": "application/cloudevents+json"}, b'{"source": "/a"}', None),
        ({}, BODY, None),
    ],
)  # fmt: skip
def test_the_senders_own_id_makes_the_receipt_key(
    web_door: WebDoor, headers: dict[str, Any], body: bytes, sender_id: str | None
) -> None:
    """G3: its id with the source and the body; without an id none, for equal bodies say "still so"."""
    assert web_door.post(body, "/ingest/billing", **headers)[0] == 202
    assert web_door.kept[0].key == post_receipt_key("billing", sender_id, body)


def test_a_stopping_server_finishes_what_it_serves(open_web_door: Callable[..., WebDoor]) -> None:
    """Fault 102: the answer that waits for its commit is given."""
    door = open_web_door()
    door.gate.clear()
    with door.talk() as talk:
        talk.send(
            f"POST /ingest/prom/{door.token} HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        )  # fmt: skip
        wait_until(lambda: bool(door.server._server.server_state.tasks))
        door.server._server.should_exit = True
        door.gate.set()
        assert talk.rest().startswith(b"HTTP/1.1 202 ")
    assert len(door.kept) == 1


def wait_until(look: Callable[[], bool]) -> None:
    """Wait, two seconds at most, until something has come true."""
    until = time.monotonic() + 2
    while not look():
        assert time.monotonic() < until, "not within two seconds"
        time.sleep(0.002)
