"""Puts a policy together from files that were read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rules.categories import CategoryLine, make_categories
from rules.escalation import EscalationFile, compile_use, make_paths
from rules.judge import compile_judge
from rules.language import Language
from rules.lifecycle import LifecycleFile, make_lifecycles
from rules.mailboxes import MailboxesFile, make_mailboxes
from rules.oncall import OncallFile, make_rotations
from rules.people import PersonLine, make_agents
from rules.permissions import PermissionLine, make_permissions
from rules.policy import Limits, Policy, Questions
from rules.priority import PriorityFile, make_matrices, make_severity
from rules.problems import Problems, Word
from rules.routing import RoutingFile, compile_routing
from rules.services import CATCH_ALL, ServicesFile, compile_finder, make_services, make_teams
from rules.sla import SlaFile, compile_promises


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """All files of a policy, as they were written."""

    services: ServicesFile
    people: Mapping[Word, PersonLine]
    priority: PriorityFile
    routing: RoutingFile
    sla: SlaFile
    escalation: EscalationFile
    oncall: OncallFile
    lifecycle: LifecycleFile
    categories: Mapping[Word, CategoryLine]
    permissions: Mapping[Word, PermissionLine]
    mailboxes: MailboxesFile


def make_policy(written: Written, *, framework: str, zone: ZoneInfo, version: str) -> Policy:
    """The policy in force. Nothing is left to tell: every file was checked."""
    start, silent = written.priority.start_with, Problems()
    return Policy(
        version=version,
        framework=framework,
        teams=make_teams(written.services),
        services=make_services(written.services),
        catch_all=CATCH_ALL,
        categories=make_categories(written.categories),
        agents=make_agents(written.people),
        mailboxes=make_mailboxes(written.mailboxes),
        lifecycles=make_lifecycles(written.lifecycle, clock_stops_in=written.sla.clock_stops_in, problems=silent),
        matrices=make_matrices(written.priority, silent),
        rotations=make_rotations(written.oncall, zone),
        paths=make_paths(written.escalation),
        start_with=(start.impact, start.urgency),
        severity=make_severity(written.priority.severity),
        warn_at=written.sla.warn_at,
        limits=_limits(written),
        questions=_questions(written, Language(zone)),
    )


def _questions(written: Written, language: Language) -> Questions:
    find_service = compile_finder(written.services)
    return Questions(
        judge=compile_judge(written.priority, find_service, language),
        service=find_service,
        tier=compile_routing(written.routing, language),
        promises=compile_promises(written.sla, language),
        path=compile_use(written.escalation, language),
        refusal=make_permissions(written.permissions).refusal,
    )


def _limits(written: Written) -> Limits:
    mail, pages, coming = written.mailboxes.automatic_mail, written.escalation.pages, written.lifecycle.coming_back
    return Limits(
        refire_within=coming.refire_within,
        automatic_mails_per_hour=mail.per_hour,
        automatic_mails_per_day=mail.per_day,
        automatic_mails_in_all_per_hour=mail.in_all_per_hour,
        pages_per_hour=pages.most_per_hour,
        notice_after=pages.notice_after,
        reopens_per_day=coming.reopens_per_day,
    )
