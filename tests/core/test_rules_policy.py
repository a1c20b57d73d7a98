"""What the policy answers: service, priority, owner, promises, whom to tell, who may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.oncall import Rotation
from rules.facts import Facts
from rules.load import Loaded
from rules.phrases import read_phrase
from rules.policy import Policy

Load = Callable[[Mapping[str, str]], Loaded]
PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
ALERT = Facts("alert", "prometheus", NOW, "DiskFull")
MAIL = Facts("mail", "smtp", NOW, "Help", subject="Help", sender="ann@example.com")


def load(load_with: Load, file: str, *changes: tuple[str, str]) -> Policy:
    text = (PACK / file).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    loaded = load_with({file: text})
    assert loaded.policy is not None, [str(problem) for problem in loaded.problems]
    return loaded.policy


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
some_facts = st.builds(
    Facts,
    origin=st.sampled_from(["mail", "alert", "submission"]),
    source=words,
    at=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    title=words,
    text=words | st.sampled_from(["the payment page is down", "I gave my password", "nobody can print"]),
    subject=words,
    sender=words,
    recipient=words,
    labels=st.dictionaries(st.sampled_from(["service", "env", "severity", "instance"]) | words, words, max_size=4),
    resource=st.none() | words,
    service=st.none() | words | st.sampled_from(["checkout", "vpn", "Printing"]),
    category=st.none() | words,
)  # fmt: skip


@given(facts=some_facts, tier=st.integers(-3, 30))
def test_everything_has_exactly_one_owner(policy: Policy, facts: Facts, tier: int) -> None:
    """Fault 85: whatever comes in, there is one service, one tier to begin at, and one team."""
    service = policy.service_of(facts).value
    assert service in policy.services
    assert policy.owner(service, int(policy.route(facts).value or "")).name in policy.teams
    assert policy.owner(service, tier).name in policy.teams
    assert policy.owner(facts.service, tier).name in policy.teams


@given(facts=some_facts)
def test_every_question_has_an_answer(policy: Policy, facts: Facts) -> None:
    judged = policy.judge(facts)
    assert judged.fields["service"].value in policy.services
    policy.promises(facts)
    policy.path_for(facts)


@pytest.mark.parametrize(
    ("facts", "service", "reason"),
    [
        (ALERT._replace(service="Checkout"), "checkout", "the sender named it"),
        (ALERT._replace(labels={"service": "smtp"}), "mail", "its labels say service=imap or mail or smtp"),
        (ALERT._replace(labels={"instance": "shop7.example.com:9100"}), "checkout", "its host is one of shop*"),
        (ALERT._replace(resource="VPN1.example.com"), "vpn", "its host is one of vpn*.example.com"),
        (ALERT._replace(labels={"service": "vpn", "instance": "shop7.example.com"}), "vpn", "its labels say"),
        (MAIL._replace(text="The Payment Page is white"), "checkout", "its text says payment page"),
        (MAIL._replace(title="Toner", subject="Toner"), "printing", "its text says toner"),
        (MAIL._replace(text="Toner is out and the VPN is down"), "vpn", "its text says vpn"),
        (MAIL, "everything else", "no service claims it"),
        (ALERT._replace(service="unheard of"), "everything else", "no service claims it"),
    ],
)
def test_a_service_is_found_by_name_then_labels_then_hosts_then_text(
    policy: Policy, facts: Facts, service: str, reason: str
) -> None:
    found = policy.service_of(facts)
    assert found.value == service
    assert found.reason.startswith(reason)


def test_of_all_rules_the_strongest_word_for_ordered_fields_counts(policy: Policy) -> None:
    """`printer trouble` says low and comes later, `many people affected` says high."""
    judged = policy.judge(MAIL._replace(text="Nobody can use the printer, no hurry, but one is locked out"))
    assert (judged.fields["impact"].value, judged.fields["impact"].rule) == ("high", "many people affected")
    assert (judged.fields["urgency"].value, judged.fields["urgency"].rule) == ("high", "password forgotten")


def test_for_other_fields_the_first_rule_counts(policy: Policy) -> None:
    judged = policy.judge(MAIL._replace(text="password reset for the printer"))
    decided = judged.fields["category"]
    assert (decided.value, decided.rule) == ("access.password", "password forgotten")


def test_rules_know_the_service_that_the_facts_point_at(policy: Policy) -> None:
    judged = policy.judge(MAIL._replace(text="The web shop is down"))
    assert judged.fields["impact"].rule == "shop stands still"
    assert judged.fields["service"].value == "checkout"


def test_a_floor_speaks_and_what_it_sets_goes_first(policy: Policy) -> None:
    judged = policy.judge(MAIL._replace(text="Password reset please: I typed in my password on that page"))
    assert judged.floor is not None
    assert (judged.floor.value, judged.floor.rule) == ("sev2", "credentials given away")
    assert judged.fields["category"].rule == "credentials given away"
    assert judged.fields["confidential"].value == "true"


def test_of_floors_the_strongest_counts(policy: Policy) -> None:
    judged = policy.judge(MAIL._replace(text="I gave my password and now all files are encrypted"))
    assert judged.floor is not None
    assert judged.floor.value == "sev1"


def test_no_rule_speaks_of_what_none_is_about(policy: Policy) -> None:
    judged = policy.judge(MAIL)
    assert (list(judged.fields), judged.floor) == (["service"], None)


@pytest.mark.parametrize(
    ("service", "cell", "priority", "matrix"),
    [
        ("vpn", ("high", "high"), "P1", "default"),
        ("vpn", ("medium", "high"), "P2", "default"),
        ("checkout", ("medium", "high"), "P1", "retail"),
        ("checkout", ("high", "low"), "P3", "retail"),
        ("checkout", ("low", "low"), "P5", "retail"),
        (None, ("medium", "medium"), "P3", "default"),
        ("unheard of", ("medium", "medium"), "P3", "default"),
    ],
)
def test_priority_comes_from_the_business_units_matrix(
    policy: Policy, service: str | None, cell: tuple[str, str], priority: str, matrix: str
) -> None:
    decided = policy.priority(service, *cell)
    assert decided.value == priority
    assert matrix in decided.reason


def test_a_matrix_may_order_its_columns_as_it_likes(load_with: Load) -> None:
    changed = load(
        load_with, "priority.yml",
        ("impact medium: [P1,   P2,     P4]", "urgency: [low, medium, high]\n    impact medium: [P5, P4, P1]"),
    )  # fmt: skip
    assert changed.priority("checkout", "medium", "low").value == "P5"
    assert changed.priority("checkout", "high", "high").value == "P1"


def test_the_first_routing_rule_that_fits_counts(policy: Policy) -> None:
    assert policy.route(ALERT).value == "2"
    assert policy.route(ALERT).rule == "machines speak to engineers"
    assert policy.route(MAIL).value == "1"


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        (MAIL._replace(priority="P1", kind="incident"), {"respond": 15, "restore": 240, "resolve": 2880}),
        (MAIL._replace(priority="P1", kind="service_request"), {"respond": 15, "restore": 240, "resolve": 2880}),
        (MAIL._replace(priority="P4", kind="service_request"), {"respond": 1440, "resolve": 14400}),
        (MAIL, {"respond": 1440, "resolve": 20160}),
    ],
)
def test_promises_come_from_the_first_line_that_fits(policy: Policy, facts: Facts, names: dict[str, int]) -> None:
    promises = policy.promises(facts)
    assert {promise.name: promise.length / timedelta(minutes=1) for promise in promises} == names
    assert {promise.calendar for promise in promises} == {"always"}


@pytest.mark.parametrize(("priority", "path"), [("P1", "standard"), ("P2", "standard"), ("P3", "quiet"), ("P5", None)])
def test_the_path_comes_from_the_first_line_that_fits(policy: Policy, priority: str, path: str | None) -> None:
    found = policy.path_for(ALERT._replace(priority=priority))
    assert (found and found.name) == path


@pytest.mark.parametrize(
    ("phrase", "service", "tier", "told"),
    [
        ("team", "checkout", 2, ["payments@example.com"]),
        ("on_call of team", "checkout", 2, ["ben@example.com"]),
        ("on_call of next tier", "checkout", 2, ["chloe@example.com"]),
        ("on_call of next tier", "checkout", 3, []),
        ("on_call of manager", "vpn", 1, ["chloe@example.com"]),
        ("on_call of team", None, 1, ["ana@example.com"]),
        ("ben", "vpn", 1, ["ben@example.com"]),
    ],
)
def test_a_phrase_names_whom_a_step_tells(
    policy: Policy, phrase: str, service: str | None, tier: int, told: list[str]
) -> None:
    found = policy.tell(phrase, service=service, tier=tier, now=NOW)
    assert [one.address for one in found] == told
    assert all(one.phrase == phrase for one in found)


def test_a_step_for_a_team_without_rotation_or_mail_tells_nobody(load_with: Load) -> None:
    """Fault 85: the caller goes on to the next step at once."""
    changed = load(load_with, "services.yml", ("{mail: payments@example.com,  on_call: payments}", "{}"))
    assert changed.tell("team", service="checkout", tier=2, now=NOW) == ()
    assert changed.tell("on_call of team", service="checkout", tier=2, now=NOW) == ()


@pytest.mark.parametrize(
    ("phrase", "who", "on_call", "name"),
    [
        ("team", "team", False, ""),
        ("on_call of  team", "team", True, ""),
        ("on_call of next tier", "next tier", True, ""),
        ("on_call of lead", "rotation", True, "lead"),
        ("next tier", "person", False, "next tier"),
        ("ana", "person", False, "ana"),
    ],
)
def test_phrases_are_read(phrase: str, who: str, on_call: bool, name: str) -> None:  # noqa: FBT001 - a table
    assert read_phrase(phrase) == (who, on_call, name)


def test_turns_are_handed_over_at_the_local_time_across_daylight_saving(policy: Policy) -> None:
    """Clocks go back on Sunday, 25 October 2026: the hand-over on Monday at nine is an hour later in UTC."""
    rotation = policy.rotations["payments"]
    assert isinstance(rotation, Rotation)
    before = rotation.on_call(datetime(2026, 10, 26, 7, 59, tzinfo=UTC))
    after = rotation.on_call(datetime(2026, 10, 26, 8, 0, tzinfo=UTC))
    week_before = [rotation.on_call(datetime(2026, 10, 19, hour, 0, tzinfo=UTC)) for hour in (6, 7)]
    order = list(rotation.people)
    assert order[(order.index(before) + 1) % 3] == after
    assert order[(order.index(week_before[0]) + 1) % 3] == week_before[1] == before


@pytest.mark.parametrize(
    ("action", "roles", "own_team", "refused"),
    [
        ("ack", {"agent"}, False, None),
        ("set", {"agent"}, True, None),
        ("set", {"agent"}, False, "set needs the role admin, lead, manager or agent of the owning team"),
        ("waive", {"agent", "lead"}, True, "waive needs the role admin or manager; you have agent, lead"),
        ("waive", {"manager"}, False, None),
        ("read", {"auditor"}, False, None),
        ("note", {"auditor"}, False, "note needs the role admin, agent, expert, lead or manager; you have auditor"),
        ("read", set(), True, "read needs the role admin, agent, auditor, expert, lead or manager; you have no role"),
        ("close", {"admin"}, False, None),
    ],
)
def test_a_refusal_says_which_role_was_missing(
    policy: Policy, action: str, roles: set[str], own_team: bool, refused: str | None  # noqa: FBT001 - a table
) -> None:
    said = policy.refusal(action, frozenset(roles), own_team=own_team)
    assert (said or "").startswith(refused or "")
    assert (said is None) is (refused is None)


def test_an_incident_moves_as_the_file_says(policy: Policy) -> None:
    life = policy.lifecycles["incident"]
    assert life.move("working", "restored") is not None
    assert life.move("working", "resolved") is None
    assert life.move("waiting_vendor", "working") is not None
    reopened = life.move("closed", "working")
    assert reopened is not None
    assert reopened.within == timedelta(days=14)
    closed = life.move("working", "closed")
    assert closed is not None
    assert closed.roles == {"lead", "manager", "admin"}
    freely = life.move("new", "closed")
    assert freely is not None
    assert freely.roles == frozenset()
    assert life.close_after == timedelta(days=5)
    assert life.stays_restored_for == {"P1", "P2"}
    assert life.states["waiting_customer"].clock_stops
    assert not life.states["working"].clock_stops


def test_a_request_skips_restored_and_needs_the_fix_alone(policy: Policy) -> None:
    life = policy.lifecycles["service_request"]
    assert "restored" not in life.states
    assert life.move("working", "resolved") is not None
    assert life.states["resolved"].needs == ("fix",)
    assert life.states["resolved"].label == "Resolved"
    assert life.states["closed"].final
    assert (life.close_after, life.reopen_within) == (timedelta(days=5), timedelta(days=14))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("- restored -> resolved, working\n", "- restored -> working\n", "no move leads to the state 'resolved'"),
        ("    - restored -> resolved, working\n", "", "the state 'restored' is a dead end"),
        ("resolved -> closed (after 5d), ", "resolved -> closed, ", "no move says when what is resolved closes"),
        ("    - closed -> working (reopen within 14d)\n", "", "no move leads back from closed"),
    ],
)
def test_a_life_without_way_in_or_out_is_refused(load_with: Load, old: str, new: str, said: str) -> None:
    """Fault 85."""
    text = (PACK / "lifecycle.yml").read_text().replace("    - any -> closed", "    - new -> closed")
    assert old in text
    told = [str(problem) for problem in load_with({"lifecycle.yml": text.replace(old, new, 1)}).problems]
    assert any(said in problem for problem in told), told


def test_limits_are_what_the_files_say(policy: Policy) -> None:
    limits = policy.limits
    assert (limits.refire_within, limits.notice_after) == (timedelta(minutes=30), timedelta(seconds=30))
    assert (limits.automatic_mails_per_hour, limits.automatic_mails_per_day, limits.pages_per_hour) == (10, 40, 10)
    assert (limits.reopens_per_day, list(policy.warn_at)) == (5, [0.5, 0.8])
