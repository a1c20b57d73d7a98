"""``python -m ledger``: see docs/ledger.md."""

from __future__ import annotations

import argparse
import json
import sys

from ledger.errors import LedgerError, NotHere
from ledger.run import Plan, run
from ledger.steps import run_steps
from ledger.trouble import ON_POSTGRESQL, ON_SQLITE


def main() -> int:
    """Run every kind on every database that was asked for; the exit status."""
    options = _options()
    bad = 0
    for database in options.database or ("sqlite", "postgresql"):
        kinds = ON_SQLITE if database == "sqlite" else ON_POSTGRESQL
        for kind in [kind for kind in kinds if kind in (options.kind or kinds)]:
            bad += not _run(_plan(options, kind, database), as_json=options.json)
    return 1 if bad else 0


def _run(plan: Plan, *, as_json: bool) -> bool:
    """One run, told; whether it was good."""
    try:
        outcome = run_steps(plan) if plan.kind == "steps" else run(plan)
    except NotHere as error:
        print(f"ledger {plan.database} {plan.kind}: not run, for {error}", file=sys.stderr)
        return True
    except LedgerError as error:
        print(f"ledger {plan.database} {plan.kind}: NO VERDICT, {error}", flush=True)
        return False
    if as_json:
        print(json.dumps(outcome.document()), flush=True)
    else:
        print(outcome.line(), *outcome.verdict.faults, sep="\n  ", flush=True)
    return outcome.good


def _plan(options: argparse.Namespace, kind: str, database: str) -> Plan:
    if kind == "steps":
        return Plan(kind, database, mails=0, alerts=0, orders=0, strikes=0, seed=options.seed)
    mails, orders = options.items * 2 // 5, options.items // 10
    return Plan(
        kind, database, mails=mails, orders=orders, alerts=options.items - mails - orders, strikes=options.strikes,
        seed=options.seed,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ledger", description="Kills the desk, and counts what it has.")
    parser.add_argument("--database", action="append", choices=("sqlite", "postgresql"), help="one only (both)")
    parser.add_argument(
        "--kind", action="append", choices=sorted({*ON_SQLITE, *ON_POSTGRESQL}), help="one kind of trouble only (all)"
    )
    parser.add_argument("--items", type=int, default=20_000, help="mails, alerts and orders in all (20,000)")
    parser.add_argument("--strikes", type=int, default=41, help="how often trouble strikes (41)")
    parser.add_argument("--seed", type=int, default=1, help="where, when and whom it strikes (1)")
    parser.add_argument("--json", action="store_true", help="a JSON object for each run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
