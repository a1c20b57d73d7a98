"""Accepted means kept, in small: what `make ledger` does by the ten thousand, with a few hundred of each."""

from __future__ import annotations

import pytest

from ledger.errors import NotHere
from ledger.run import Plan, run
from ledger.steps import run_steps

SMALL = {"mails": 160, "alerts": 400, "orders": 40, "strikes": 6, "seed": 7}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_accepted_is_lost_or_doubled_by_kills(database: str) -> None:
    """Faults 11, 24, 75, 77, 82, 101, 113; G1, G3, G4, G5, G6."""
    outcome = run(Plan("kill9", database, **SMALL))
    assert outcome.verdict.faults == []
    assert outcome.struck.total() == SMALL["strikes"]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_desk_that_ends_at_a_step_of_its_own_goes_on_where_it_stood(database: str) -> None:
    """Faults 82 and 101: some of the steps; `make ledger KIND=steps` takes them all."""
    outcome = run_steps(Plan("steps", database, mails=0, alerts=0, orders=0, strikes=6, seed=2))
    assert outcome.verdict.faults == []
    assert all(outcome.struck.values())


def test_a_desk_whose_processes_stand_still_for_a_while_loses_nothing() -> None:
    """Fault 103."""
    assert run(Plan("stopcont", "sqlite", **{**SMALL, "strikes": 3})).verdict.faults == []


def test_a_desk_that_is_asked_to_stop_under_load_ends_well_and_loses_nothing() -> None:
    """Fault 102."""
    assert run(Plan("term", "sqlite", **{**SMALL, "strikes": 3})).verdict.faults == []


def test_a_database_that_is_restarted_under_the_desk_costs_nothing() -> None:
    """Faults 20 and 96."""
    assert run(Plan("restart", "postgresql", **{**SMALL, "strikes": 4})).verdict.faults == []


def test_a_disk_that_is_full_for_a_while_costs_nothing() -> None:
    """Fault 92: doors say no, no mail goes out twice, and work goes on unattended once there is room again."""
    try:
        outcome = run(Plan("full", "sqlite", **{**SMALL, "strikes": 2}))
    except NotHere as error:
        pytest.skip(str(error))
    assert outcome.verdict.faults == []
