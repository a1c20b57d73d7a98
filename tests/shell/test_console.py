"""The console's pages: what they say, what they never do, and who may see them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from console.app import make_console
from console.health import Health
from desk.errors import NotAllowed
from desk.ports import Acknowledged, Asked, Queue, Shown
from incidents.incident import Incident
from incidents.targets import Target

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'
GOOD, FORM = "good", "nonce"


def incident(number: int, title: str = "Disk is full", **given: Any) -> Incident:
    about: dict[str, Any] = {
        "kind": "incident", "state": "new", "team": "platform", "opened_at": NOON - timedelta(hours=1),
        "updated_at": NOON, "source": "prometheus", "priority": "P2", "severity": "sev2", "impact": "high",
        "urgency": "high", "tier": 1,
    }  # fmt: skip
    return Incident(number, number, title=title, **(about | given))


def promise(minutes: int, name: str = "sla.respond", state: str = "running") -> Target:
    paused_at = NOON if state == "paused" else None
    return Target(
        1, 1, name, state, NOON, NOON + timedelta(minutes=minutes), None, timedelta(hours=1), paused_at=paused_at
    )


def shown(record: Incident, *targets: Target, acknowledged_by: str | None = None) -> Shown:
    return Shown(record, record.state, None, None, None, acknowledged_by, 3, targets)


class FakePages:
    """Pages of one record that a link asks about."""

    def __init__(self, *records: Shown) -> None:
        self.records = list(records)
        self.acknowledged: list[str] = []
        self.refusal: Exception | None = None

    def open_records(self, limit: int, now: datetime) -> Queue:
        if self.refusal is not None:
            raise self.refusal
        assert now == NOON
        return Queue(self.records[:limit], len(self.records), 1, 1, 0)

    def asked(self, token: str, now: datetime) -> Asked | None:
        assert now == NOON
        return Asked(self.records[0], "Ana Example", FORM, yours=False) if token == GOOD else None

    def acknowledge(self, token: str, form: str, now: datetime) -> Acknowledged | None:
        if (token, form) != (GOOD, FORM):
            return None
        if self.refusal is not None:
            raise self.refusal
        before = self.records[0]
        if before.incident.acknowledged_at is None:
            self.acknowledged.append(token)
            has_it = replace(before.incident, acknowledged_at=now, state="working")
            self.records[0] = before._replace(incident=has_it, acknowledged_by="Ana Example")
        after = self.records[0]
        yours = after.acknowledged_by == "Ana Example"
        at = after.incident.acknowledged_at
        return Acknowledged(after, after.acknowledged_by, at, yours=yours, now_done=before is not after)


class Browser:
    """Asks the console as a peer of some address would."""

    def __init__(
        self, pages: FakePages, *, peer: str = "127.0.0.1", host: str = "127.0.0.1:8080", **given: Any
    ) -> None:
        self.errors: list[tuple[str, Exception]] = []
        settings: dict[str, Any] = {"health": Health, "metrics": lambda: b"triaged_up 1\n", "loopback": True}
        self.app = make_console(
            pages, desk_name="Example IT", public_url="https://desk.example.com/desk", zone=ZoneInfo("Europe/Berlin"),
            now=lambda: NOON, on_error=lambda number, error: self.errors.append((number, error)), **settings | given,
        )  # fmt: skip
        self.peer, self.host = peer, host

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(self.peer, 4711))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{self.host}") as client:
                return await client.request(method, path, **given)

        return asyncio.run(send())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.ask("GET", path, **given)

    def press(self, form: str | None = FORM, token: str = GOOD) -> httpx.Response:
        return self.ask("POST", f"/a/{token}", data={} if form is None else {"form": form})


# ---------------------------------------------------------------------- the list


def test_the_first_two_lines_say_what_to_take_next() -> None:
    late, soon = shown(incident(1001), promise(-11)), shown(incident(1002), promise(8))
    page = Browser(FakePages(late, soon)).get("/").text
    head = page[page.index("<h1>") : page.index("<table")]
    assert "2 open" in head
    assert "1 overdue" in head
    assert "1 due within the hour" in head
    assert "INC-1001" in head


def test_records_stand_in_groups_by_their_next_clock() -> None:
    records = [
        shown(incident(1001), promise(-65)),
        shown(incident(1002), promise(14, "sla.next_update")),
        shown(incident(1003), promise(130)),
        shown(incident(1004), promise(26 * 60)),
        shown(incident(1005), promise(60, state="paused")),
        shown(incident(1006)),
    ]
    page = Browser(FakePages(*records)).get("/").text
    words = [
        "Overdue", "1 h 05 over", "respond by 11:55", "Due within the hour", "14 min", "next update by 13:14", "Today",
        "2 h 10", "Later", "1 d 2 h", "Clock stopped", "paused", "Without a clock",
    ]  # fmt: skip
    places = [page.index(word, page.index("<tbody")) for word in words]
    assert places == sorted(places)


def test_nothing_open_is_said_in_words() -> None:
    assert "Nothing is waiting" in Browser(FakePages()).get("/").text


def test_more_records_than_fit_are_counted() -> None:
    """The page never says that it shows all when it does not."""
    page = Browser(FakePages(*[shown(incident(number)) for number in range(1, 206)])).get("/").text
    assert "Showing the first 100 of 205" in page


def test_hostile_titles_are_text_in_the_list() -> None:
    """Fault 27."""
    record = shown(incident(1001, HOSTILE, team="<b>x", resource="<i>y", state="<u>z"), promise(8))
    page = Browser(FakePages(record)).get("/").text
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    for piece in ("<b>x", "<i>y", "<u>z"):
        assert piece not in page


def test_confidential_records_keep_their_words_to_themselves() -> None:
    record = shown(incident(1001, "Salary list is open", confidential=True, resource="payroll"), promise(8))
    page = Browser(FakePages(record)).get("/").text
    assert "Salary" not in page
    assert "payroll" not in page
    assert "INC-1001" in page


@pytest.mark.parametrize(
    ("peer", "host", "loopback", "headers"),
    [
        ("192.0.2.7", "127.0.0.1", True, {}),
        ("127.0.0.1", "127.0.0.1", False, {}),
        ("127.0.0.1", "desk.example.com", True, {}),
        ("127.0.0.1", "127.0.0.1", True, {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", "127.0.0.1", True, {"Forwarded": "for=192.0.2.7"}),
    ],
    ids=["peer", "listener", "name", "proxy", "proxy by the standard"],
)
def test_the_list_is_shown_on_this_machine_only(peer: str, host: str, loopback: bool, headers: dict[str, str]) -> None:  # noqa: FBT001 - a table's column
    """Another peer, another listener, another name (a page of elsewhere that points at us), or a proxy between."""
    browser = Browser(FakePages(shown(incident(1001, "Secret"))), peer=peer, host=host, loopback=loopback)
    answer = browser.get("/", headers=headers)
    assert answer.status_code == 404
    assert "on this machine only" in answer.text
    assert "Secret" not in answer.text


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_every_way_to_be_this_machine_sees_the_list(peer: str) -> None:
    assert Browser(FakePages(), peer=peer).get("/").status_code == 200


# ---------------------------------------------------------------------- the link


def test_a_link_shows_who_is_asked_about_what() -> None:
    record = shown(incident(1001, "Payments fail", url="https://prometheus.example.com/graph"), promise(8))
    page = Browser(FakePages(record)).get(f"/a/{GOOD}").text
    for word in ("Ana Example", "Payments fail", "P2", "platform", "8 min", "respond by 13:08", "INC-1001"):
        assert word in page
    assert '<a href="https://prometheus.example.com/graph" rel="noopener noreferrer">' in page
    assert f'name="form" value="{FORM}"' in page


def test_looking_at_a_link_changes_nothing() -> None:
    """A19: programs that read mail open its links."""
    pages = FakePages(shown(incident(1001)))
    browser = Browser(pages)
    for method in ("GET", "HEAD", "GET"):
        assert browser.ask(method, f"/a/{GOOD}").status_code == 200
    assert pages.acknowledged == []


def test_head_gives_what_get_gives_but_the_body() -> None:
    browser = Browser(FakePages(shown(incident(1001))))
    for path in ("/", f"/a/{GOOD}", "/healthz", "/readyz", "/metrics", "/static/console.css"):
        got, head = browser.get(path), browser.ask("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == str(len(got.content))


def test_pressing_acknowledges_once() -> None:
    """A second press, of the same person, tells the same and does nothing."""
    pages = FakePages(shown(incident(1001)))
    browser = Browser(pages)
    first, second = browser.press(), browser.press()
    assert "You have it since 13:00" in first.text
    assert "Nobody else is called" in first.text
    assert "You have it since 13:00" in second.text
    assert "Nothing more was changed" in second.text
    assert pages.acknowledged == [GOOD]


def test_somebody_else_has_it() -> None:
    has_it = replace(incident(1001), acknowledged_at=NOON - timedelta(minutes=5), state="working")
    browser = Browser(FakePages(shown(has_it, acknowledged_by="Ben Example")))
    for answer in (browser.get(f"/a/{GOOD}"), browser.press()):
        assert "Ben Example has it since 12:55" in answer.text
        assert "<form" not in answer.text


def test_what_is_over_needs_nobody() -> None:
    page = Browser(FakePages(shown(replace(incident(1001), state="closed")))).get(f"/a/{GOOD}").text
    assert "INC-1001 is closed" in page
    assert "<form" not in page


@pytest.mark.parametrize(
    "request_of",
    [
        lambda browser: browser.get("/a/forged"),
        lambda browser: browser.press(token="forged"),
        lambda browser: browser.press(form=None),
        lambda browser: browser.press(form="forged"),
        lambda browser: browser.ask("POST", f"/a/{GOOD}", json={"form": FORM}),
        lambda browser: browser.ask("POST", f"/a/{GOOD}", content=b"form=nonce"),
        lambda browser: browser.ask("POST", f"/a/{GOOD}?form={FORM}", data={}),
        lambda browser: browser.ask("POST", f"/a/{GOOD}", data={"form": [FORM, "other"]}),
        lambda browser: browser.ask("POST", f"/a/{GOOD}", data={"form": "x" * 10_000}),
        lambda browser: browser.ask(
            "POST", f"/a/{GOOD}", content=b"form=\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
    ],
)
def test_what_is_not_a_good_link_and_its_form_gets_one_page(request_of: Any) -> None:
    """A19: a bad link or form tells nothing and changes nothing."""
    pages = FakePages(shown(incident(1001, "Secret")))
    answer = request_of(Browser(pages))
    assert answer.status_code == 404
    assert "This link does not work" in answer.text
    assert "Secret" not in answer.text
    assert "INC-" not in answer.text
    assert pages.acknowledged == []


def test_hostile_text_is_text_on_the_page_of_a_link() -> None:
    """Fault 27; and no address but that of the web is linked."""
    record = shown(incident(1001, HOSTILE, url="javascript:alert(1)", team='"><svg onload=alert(1)>'))
    browser = Browser(FakePages(record))
    for page in (browser.get(f"/a/{GOOD}").text, browser.press().text):
        assert "<script" not in page
        assert "<svg" not in page
        assert "javascript:" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "url", ["JavaScript:alert(1)", "data:text/html,x", "//example.com", "https://", "http://[::1", "https://a\n.example"]
)
def test_only_addresses_of_the_web_are_linked(url: str) -> None:
    page = Browser(FakePages(shown(incident(1001, url=url)))).get(f"/a/{GOOD}").text
    assert "what the monitor shows" not in page


def test_what_policy_refuses_is_said() -> None:
    pages = FakePages(shown(incident(1001)))
    pages.refusal = NotAllowed("ack needs the role agent; you have auditor")
    answer = Browser(pages).press()
    assert answer.status_code == 409
    assert "ack needs the role agent; you have auditor. Nothing was changed." in answer.text


# ---------------------------------------------------------------------- every answer


def test_every_answer_carries_the_headers_of_a_strict_page() -> None:
    browser = Browser(FakePages(shown(incident(1001))))
    for path in ("/", f"/a/{GOOD}", "/a/forged", "/nothing", "/healthz", "/metrics", "/static/console.css"):
        headers = browser.get(path).headers
        assert headers["content-security-policy"] == (
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("max-age=300" if path.endswith("css") else "no-store")
        assert "set-cookie" not in headers


def test_no_page_holds_script_or_style_of_its_own() -> None:
    """The policy of the headers would block them."""
    browser = Browser(FakePages(shown(incident(1001), promise(8))))
    for path in ("/", f"/a/{GOOD}", "/nothing"):
        page = browser.get(path).text
        assert "<script" not in page
        assert " style=" not in page
        assert "<style" not in page


def test_below_a_path_of_a_proxy_links_hold() -> None:
    """The list, seen past the proxy, finds its stylesheet too."""
    browser = Browser(FakePages(shown(incident(1001))))
    assert 'href="/desk/static/console.css"' in browser.get(f"/a/{GOOD}").text
    assert 'href="static/console.css"' in browser.get("/").text


def test_pages_that_are_not_there_or_not_used_that_way_say_so() -> None:
    browser = Browser(FakePages(shown(incident(1001))))
    nothing = browser.get("/nothing")
    assert (nothing.status_code, "There is no such page" in nothing.text) == (404, True)
    wrong = browser.ask("DELETE", f"/a/{GOOD}")
    assert wrong.status_code == 405
    assert sorted(wrong.headers["allow"].split(", ")) == ["GET", "HEAD", "POST"]
    assert browser.ask("POST", "/").status_code == 405


def test_a_page_that_could_not_be_made_tells_nothing_from_inside() -> None:
    """The operator is told, under the number that the page shows."""
    pages = FakePages()
    pages.refusal = RuntimeError("secret path /var/lib")
    browser = Browser(pages)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    ((number, error),) = browser.errors
    assert number in answer.text
    assert error is pages.refusal


def test_while_the_database_is_away_pages_say_to_try_again() -> None:
    class Away(Exception):
        permanent = False

    pages = FakePages()
    pages.refusal = Away("no connection to db.internal")
    answer = Browser(pages).get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "Try again" in answer.text
    assert "internal" not in answer.text


def test_health_metrics_and_readiness() -> None:
    reasons: list[str] = []
    browser = Browser(FakePages(), health=lambda: Health(reasons), peer="192.0.2.7", loopback=False)
    assert browser.get("/healthz").json() == {"status": "alive"}
    assert browser.get("/readyz").json() == {"status": "ready"}
    reasons.append("the database can't be reached")
    assert browser.get("/healthz").status_code == 200
    answer = browser.get("/readyz")
    assert (answer.status_code, json.loads(answer.text)["reasons"]) == (503, reasons)
    metrics = browser.get("/metrics")
    assert metrics.content == b"triaged_up 1\n"
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
