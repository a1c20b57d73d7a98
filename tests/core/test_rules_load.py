"""A policy is whole or it is refused, with every problem at its line and the nearest word that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rules.load import LATER_FILES, Loaded
from rules.policy import Policy

Load = Callable[[Mapping[str, str]], Loaded]
PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"

#: File, what is put there instead of what, and what is said of it; the line is that of the second text's last line.
MISTAKES = [
    ("services.yml", "on_call: payments}", "on_call: paymets}",
     "there is no rotation 'paymets', did you mean payments?"),
    ("services.yml", "owners: [service-desk, payments, platform]", "owners: [service-desk, payment]",
     "there is no team 'payment', did you mean payments?"),
    ("services.yml", "owners: [service-desk]", "owners: []", "this service has no owners, expected at least one team"),
    ("services.yml", "found_by: {labels: {service: vpn}", "found_bye: {labels: {service: vpn}",
     "'found_bye' is no key here, did you mean found_by?"),
    ("services.yml", "  everything else:", "  all the rest:", "no service is called 'everything else', expected it"),
    ("services.yml", "text: [vpn, remote access]", 'text: {matches: "(?=vpn)"}',
     "this is no pattern that takes linear time"),
    ("services.yml", "mail: payments@example.com,", "mail: payments,", "'payments' is no mail address"),
    ("people.yml", "team: payments,", "team: paymants,", "there is no team 'paymants', did you mean payments?"),
    ("people.yml", "roles: [agent, lead]", "roles: [agent, leed]", "there is no role 'leed', did you mean lead?"),
    ("people.yml", "mail: ben@example.com,", "mail: ana@example.com,", "ana@example.com is ana's address too"),
    ("priority.yml", "impact low:    [P3,   P4,     P5]", "impact low:    [P3,   P4]",
     "the row 'impact low' has 2 priorities, expected 3"),
    ("priority.yml", "impact low:    [P3,   P4,     P5]", "impact low:    [P3,   P4,     P6]", "here stands 'P6'"),
    ("priority.yml", "    impact low:    [P3,   P4,     P5]\n", "", "rows are missing: impact low"),
    ("priority.yml", "extends: default", "extends: defualt", "there is no matrix 'defualt', did you mean default?"),
    ("priority.yml", "extends: default", "extends: retail", "the matrix 'retail' extends itself"),
    ("priority.yml", "  default:\n", "  ordinary:\n", "no matrix is called 'default'"),
    ("priority.yml", "urgency:       [high, medium, low]", "urgency:       [high, high, low]",
     "the columns of urgency are not high, medium and low"),
    ("priority.yml", "    set: {category: network.vpn}", "    set: {category: network.vnp}",
     "there is no category 'network.vnp', did you mean network.vpn?"),
    ("priority.yml", "    set: {category: network.vpn}", "    set: {}", "this rule sets nothing"),
    ("priority.yml", "    set: {category: network.vpn}\n    because: it is about remote access\n",
     "    set: {category: network.vpn}\n", "'because' is missing"),
    ("priority.yml", "rule: vpn trouble", "rule: mail trouble", "has a rule called 'mail trouble' too"),
    ("priority.yml", "    service: vpn", "    service: vnp", "there is no service 'vnp', did you mean vpn?"),
    ("priority.yml", "    service: vpn", "    when: open_like > 3", "'open_like' is no name that conditions know"),
    ("priority.yml", "at_least: sev2", "at_least: sev9", "here stands 'sev9', expected one of sev1, sev2, sev3, sev4"),
    ("priority.yml", "  sev4: {impact: low,    urgency: medium, priority: P4}\n", "", "'sev4' is missing"),
    ("routing.yml", "set: {start_tier: 2}", "set: {start_tier: 20}", "start_tier is 20, expected 1 to 9"),
    ("routing.yml", "  - rule: everything else begins at the desk", "  - rule: mails begin at the desk\n    from: mail",
     "the list does not end with a line that always fits"),
    ("sla.yml", "calendar: always, respond: 15m", "calendar: office, respond: 15m",
     "here stands 'office', expected one of"),
    ("sla.yml", "respond: 15m", "respond: soon", "'soon' is no duration"),
    ("sla.yml", "respond: 15m", "next_update: 15m", "'next_update' (the cadence of updates) is not in this version"),
    ("sla.yml", "otherwise: true,", "otherwise: true, kind: incident,", "this line says otherwise and matchers"),
    ("sla.yml", "warn_at: [50%, 80%]", "warn_at: [50, 80%]", "'50' is no share of the time"),
    ("sla.yml", "clock_stops_in: [waiting_customer,", "clock_stops_in: [working,", "here stands 'working'"),
    ("escalation.yml", "tell: on_call of manager,", "tell: on_call of manger,",
     "there is no rotation 'manger', did you mean manager?"),
    ("escalation.yml", "tell: on_call of manager,", "tell: chloee,",
     "there is no person 'chloee', did you mean chloe?"),
    ("escalation.yml", "path: quiet}", "path: quite}", "there is no path 'quite', did you mean quiet?"),
    ("escalation.yml", "repeat: 2", "repeat: 200", "repeat is 200, expected 0 to 10"),
    ("escalation.yml", "after: 30m, tell", "after: 3m, tell", "this step comes before the one above it"),
    ("escalation.yml", "    steps:\n      - {after: 0m, tell: team, because: there is new work}", "    steps: []",
     "this path has no steps"),
    ("oncall.yml", "people: [ben, chloe]", "people: [ben, cloe]", "there is no person 'cloe', did you mean chloe?"),
    ("oncall.yml", "people: [ben, chloe]", "people: []", "nobody is in this rotation"),
    ("oncall.yml", "people: [ben, chloe], turn: weekly, hand_over: mon 09:00",
     "people: [ben, chloe], turn: weekly, hand_over: monday 9", "'monday 9' is no weekday and time"),
    ("lifecycle.yml", "- restored -> resolved, working", "- restored -> resolve, working",
     "there is no state 'resolve'"),
    ("lifecycle.yml", "- restored -> resolved, working", "- restored => resolved",
     "is no move, expected a line such as"),
    ("lifecycle.yml", "(after 5d)", "(after a while)", "'after a while' is no note on a move"),
    ("lifecycle.yml", "(by lead, manager or admin)", "(by 12)", "'by 12' is no note on a move"),
    ("lifecycle.yml", "(by lead, manager or admin)", "(by lead, manger)",
     "there is no role 'manger', did you mean manager?"),
    ("lifecycle.yml", "needs: [symptom, cause, fix, check]", "needs: [symptoms]", "here stands 'symptoms'"),
    ("lifecycle.yml", "    waiting_vendor:   {", "    waiting_vender:   {", "there is no state 'waiting_vender'"),
    ("categories.yml", "owner: platform}\nnetwork.vpn", "owner: plattform}\nnetwork.vpn",
     "there is no team 'plattform'"),
    ("categories.yml", "network.vpn:", "netwerk.vpn:",
     "there is no category 'netwerk' above it, did you mean network?"),
    ("permissions.yml", "auditor:", "auditer:", "there is no role 'auditer', did you mean auditor?"),
    ("permissions.yml", "own team: [set]", "own team: [sett]", "here stands 'sett', expected one of everything, read"),
    ("mailboxes.yml", "ack: always", "ack: sometimes",
     "here stands 'sometimes', expected one of always, verified, never"),
    ("mailboxes.yml", "per_hour: 10,", "per_hour: 0,", "a limit of automatic_mail is below 1"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: f"{each[0]}-{each[3][:40]}")
def test_a_mistake_is_told_in_its_file(load_with: Load, mistake: tuple[str, str, str, str]) -> None:
    """Faults 83 and 85."""
    file, old, new, said = mistake
    text = (PACK / file).read_text()
    assert old in text
    loaded = load_with({file: text.replace(old, new, 1)})
    assert loaded.policy is None
    told = [str(problem) for problem in loaded.problems]
    assert any(problem.startswith(f"{file}:") and said in problem for problem in told), told


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        ("services.yml", "mail: platform@", "mial: platform@", "6: teams.platform.mial"),
        ("people.yml", "team: payments,", "team: paymants,", "4: ben.team"),
        ("priority.yml", "at_least: sev2", "at_least: sev9", "120: floors[0].at_least"),
        ("escalation.yml", "tell: on_call of manager,", "tell: on_call of manger,", "9: paths.standard.steps[3].tell"),
        ("sla.yml", "respond: 15m", "respond: soon", "4: first match[0].respond"),
    ],
)
def test_a_problem_names_line_and_path(load_with: Load, file: str, old: str, new: str, place: str) -> None:
    """Fault 83: `file:line: path: what is wrong, what was expected`."""
    loaded = load_with({file: (PACK / file).read_text().replace(old, new, 1)})
    (problem, *_) = loaded.problems
    assert str(problem).startswith(f"{file}:{place}: ")


def test_all_problems_of_all_files_are_told_at_once(load_with: Load) -> None:
    """Fault 83: a file that cannot be read hides no mistake of the others, and makes no word of theirs unknown."""
    loaded = load_with(
        {
            "people.yml": "ana: [",
            "sla.yml": (PACK / "sla.yml").read_text().replace("15m", "soon").replace("80%", "80"),
            "routing.yml": "first match: []\n",
            "notes.yml": "a: 1\n",
        }
    )
    assert [str(problem).split(" ")[0] for problem in loaded.problems] == [
        "notes.yml:1:", "people.yml:2:", "routing.yml:1:", "sla.yml:4:", "sla.yml:11:",
    ]  # fmt: skip


@pytest.mark.parametrize("name", LATER_FILES)
def test_files_of_a_later_version_are_refused_by_name(load_with: Load, name: str) -> None:
    loaded = load_with({name: "a: 1\n"})
    assert f"{name} is not read by this version" in str(loaded.problems[0])


def test_an_empty_file_is_no_policy(load_with: Load) -> None:
    loaded = load_with({"routing.yml": "# nothing yet\n"})
    assert str(loaded.problems[0]).startswith("routing.yml:1: this file is empty")


def test_the_version_follows_the_text_of_the_files(load_with: Load, policy: Policy) -> None:
    """The same files give the same version, and any change another."""
    same, other = load_with({}), load_with({"sla.yml": (PACK / "sla.yml").read_text() + "# a word\n"})
    assert same.policy is not None
    assert other.policy is not None
    assert same.policy.version == policy.version != other.policy.version
    assert len(policy.version) == 12


def test_the_pack_is_without_warnings(load_with: Load) -> None:
    assert load_with({}).warnings == []


def test_a_line_that_is_never_reached_is_a_warning(load_with: Load) -> None:
    """Fault 85."""
    text = (PACK / "escalation.yml").read_text()
    loaded = load_with({"escalation.yml": text.replace("  - {priority: P3, ", "  - {priority: P2, kind: incident, ")})
    assert loaded.policy is not None
    assert [str(warning) for warning in loaded.warnings] == [
        "escalation.yml:19: use[1]: this line is never reached: line 18 fits all that it would fit"
    ]


def test_a_matrix_that_is_never_read_is_a_warning(load_with: Load) -> None:
    """A business unit misspelt would quietly be judged by the default matrix."""
    text = (PACK / "services.yml").read_text()
    loaded = load_with({"services.yml": text.replace("business_unit: retail", "business_unit: retial")})
    assert [str(warning).partition(": ")[2] for warning in loaded.warnings] == [
        "matrices.retail: no service has the business unit 'retail', so this matrix is never read"
    ]


def test_a_path_that_reaches_nobody_is_a_warning(load_with: Load) -> None:
    """Fault 85: at run time such a step goes on to the next."""
    text = (PACK / "services.yml").read_text()
    without = text.replace("service-desk: {mail: desk-team@example.com, ", "service-desk: {")
    loaded = load_with({"services.yml": without})
    assert loaded.policy is not None
    assert "the path quiet reaches nobody at tier 1: give service-desk a mail" in str(loaded.warnings[0])
