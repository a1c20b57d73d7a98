"""Writes stories: from one seed, the people and monitors of an organisation over some days."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from simulation.events import (
    Acted,
    Bounced,
    ClockJumped,
    Event,
    Interrupted,
    Left,
    MailRepeated,
    MailSent,
    Nature,
    Point,
    PolicyChanged,
    Posted,
    RelayFailed,
    Said,
    Stopped,
    Struck,
    Trouble,
    Way,
)
from simulation.house import VARIANTS

YEAR, DAY, HOUR, MINUTE = 31_536_000, 86_400, 3_600, 60
FIRING, ENDED = True, False
#: The share of signals that meet somebody who is faster.
INTERRUPTED = 0.2
#: The share of days on which the clock is a year off for some hours, in short stories and in long ones.
ASTRAY, SELDOM_ASTRAY = 0.25, 1 / 30
#: Which write they come before: a door keeps with the first, the worker claims with the second, saves with the third.
BETWEEN = (2, 3, 3, 3, 3, 4, 5, 6, 7)
#: How many mails begin in a working day of a story that is longer than this.
CALM, CALM_FROM_DAYS = 0.8, 60
AGENTS = ("ana", "ben", "chloe")
PEOPLE = tuple(f"{name}@example.net" for name in ("dora", "emil", "frida", "gus", "hana", "ivo", "jo", "kim"))
SUBJECTS = (
    "The printer is out of toner", "VPN drops every hour", "Request: a new keyboard",
    "The web shop is down for everyone",
    "Outlook is slow", "I cannot work, it is urgent", "No hurry: a question", "forgot my password", "What is this?",
)  # fmt: skip
KEYS = tuple(f"disk{number}" for number in range(6)) + tuple(f"probe{number}" for number in range(6))
SEVERITIES = ("critical", "error", "warning", "info")
_HOURS = (0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.5, 3, 4, 4, 3.5, 2.5, 3.5, 4, 3.5, 3, 2, 1, 0.6, 0.5, 0.4, 0.3, 0.2)


@dataclass
class Author:
    """One story while it is written."""

    chance: random.Random
    days: int
    events: list[Event] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=count)

    def write(self, density: float) -> list[Event]:
        """The events in order of time. ``density`` is how much goes on in a working day."""
        for day in range(self.days):
            weekend = day % 7 in (5, 6)
            for _ in range(self._about(density * (0.15 if weekend else 1.0))):
                self._mail_thread(day * DAY + self._hour_of_day())
            for _ in range(self._about(density * 0.6)):
                self._episodes(day * DAY + self.chance.randrange(DAY))
            self._circumstances(day * DAY)
        return sorted(self.events, key=lambda event: event.at)

    def _about(self, mean: float) -> int:
        whole = int(mean)
        return self.chance.randint(0, 2 * whole) + (self.chance.random() < mean - whole)

    def _hour_of_day(self) -> int:
        hour = self.chance.choices(range(24), _HOURS)[0]
        return hour * HOUR + self.chance.randrange(HOUR)

    def _soon(self, mean: int) -> int:
        return 1 + int(self.chance.expovariate(1 / mean))

    def _often(self, share: float) -> bool:
        return self.chance.random() < share

    # ------------------------------------------------------------------ people

    def _mail_thread(self, at: int) -> None:
        chance, name = self.chance, f"m{next(self.names)}"
        sender, subject = chance.choice(PEOPLE), chance.choice(SUBJECTS)
        nature, to = Nature.PERSON, "support@example.com"
        if self._often(0.15):
            nature = chance.choice((Nature.MACHINE, Nature.MACHINE, Nature.NULL, Nature.POISON, Nature.OURS))
            sender = "robot@example.net" if nature is Nature.MACHINE else sender
        if self._often(0.2):
            to = "shop@example.com"
        copies = (chance.choice(PEOPLE),) if self._often(0.2) else ()
        self.events.append(MailSent(at, name, sender, to, subject, nature=nature, copies=copies))
        if self._often(0.15):
            other = chance.choice((to, "shop@example.com", "support@example.com"))
            self.events.append(MailRepeated(at + self._soon(HOUR), name, other))
        if nature in (Nature.PERSON, Nature.MACHINE, Nature.NULL):
            self._work(at, f"mail:{name}")
            self._answers(MailSent(at, name, sender, to, subject, nature=nature, copies=copies))
        if nature is Nature.PERSON and self._often(0.04):
            self._burst(at, sender)

    def _answers(self, first: MailSent) -> None:
        at, sender = first.at, first.sender
        while self._often(0.45):
            at += self._soon(self.chance.choice((HOUR, 6 * HOUR, 3 * DAY)))
            who = self.chance.choice((sender, *first.copies, self.chance.choice(PEOPLE)))
            nature = Nature.MACHINE if sender == "robot@example.net" or self._often(0.1) else Nature.PERSON
            if nature is Nature.MACHINE:
                who = "robot@example.net"
            way = self.chance.choice(tuple(Way))
            answer = f"m{next(self.names)}"
            self.events.append(
                MailSent(at, answer, who, first.to, first.subject, "More.\n", nature, first.name, way)
            )
            if self._often(0.2):
                self.events.append(MailRepeated(at + self._soon(HOUR), answer, first.to))
            if self._often(0.1):
                self.events.append(Bounced(at + self._soon(HOUR), sender, self._often(0.3)))

    def _burst(self, at: int, sender: str) -> None:
        """Somebody whose program sends the same question again and again."""
        for place in range(self.chance.randint(8, 25)):
            at += self._soon(100)
            self.events.append(
                MailSent(at, f"m{next(self.names)}", sender, "support@example.com", f"Again number {place}")
            )

    def _work(self, at: int, thing: str) -> None:
        """What agents do about a record, in an order that a busy place has."""
        chance = self.chance
        if self._often(0.7):
            at += self._soon(5 * MINUTE)
            self.events.append(Acted(at, chance.choice(AGENTS), chance.choice(("ack", "link", "assign")), thing, "ana"))
        while self._often(0.7):
            at += self._soon(chance.choice((10 * MINUTE, HOUR, 8 * HOUR, 2 * DAY)))
            verb = chance.choices(
                ("ack", "link", "assign", "note", "reply", "set", "wait", "resume", "restore", "resolve", "reopen",
                 "close", "merge"),
                (4, 4, 3, 1, 3, 2, 3, 2, 2, 6, 2, 1, 1),
            )[0]  # fmt: skip
            other = {
                "assign": lambda: chance.choice(AGENTS),
                "set": lambda: chance.choice(("P1", "P2", "P3", "P4")),
                "wait": lambda: chance.choice(("customer", "vendor")),
                "resolve": lambda: chance.choice(("", "waived")),
                "merge": self._another,
            }.get(verb, lambda: "")()
            self.events.append(Acted(at, chance.choice(AGENTS), verb, thing, other))

    def _another(self) -> str:
        if self._often(0.5):
            return f"alert:prometheus:{self.chance.choice(KEYS)}"
        names = [event.name for event in self.events if isinstance(event, MailSent)]
        return f"mail:{self.chance.choice(names)}" if names else "mail:none"

    # ------------------------------------------------------------------ monitors

    def _episodes(self, at: int) -> None:
        """One thing that fails once, or flaps."""
        chance = self.chance
        source = chance.choice(("prometheus", "prometheus", "pager"))
        key, severity = chance.choice(KEYS), chance.choices(SEVERITIES, (1, 2, 3, 2))[0]
        times = chance.randint(4, 12) if self._often(0.15) else chance.randint(1, 2)
        if self._often(0.8):
            self._work(at, f"alert:{source}:{key}")
        for _ in range(times):
            length = self._soon(chance.choice((2 * MINUTE, 30 * MINUTE, 5 * HOUR)))
            self._episode(at, length, source, key, severity)
            at += length + self._soon(chance.choice((5 * MINUTE, 2 * HOUR)))
        if self._often(0.06):
            self._many(at)

    def _episode(self, at: int, length: int, source: str, key: str, severity: str) -> None:
        chance = self.chance
        fires = [at + self._soon(20)]
        while self._often(0.3):
            fires.append(at + chance.randrange(length + HOUR))  # again, and sometimes after the end
        ends = [at + length + self._soon(20)] if self._often(0.9) else []
        if self._often(0.1):
            ends.append(at + chance.randrange(length + 1))  # the end comes first
        words = 0
        for when in fires:
            words += self._often(0.2)
            stronger = chance.choice(SEVERITIES) if self._often(0.1) else severity
            self._post(when, source, Said(key, FIRING, at, stronger, words))
        for when in ends:
            self._post(when, source, Said(key, ENDED, at, severity, words))

    def _post(self, at: int, source: str, said: Said) -> None:
        more: tuple[Said, ...] = ()
        if source == "prometheus" and self._often(0.2):
            more = (Said(self.chance.choice(KEYS), self._often(0.5), at - self.chance.randrange(HOUR), said.severity),)
        self.events.append(Posted(at, source, (said, *more)))

    def _many(self, at: int) -> None:
        """Everything fails at once."""
        for place in range(self.chance.randint(8, 30)):
            key = f"node{place}"
            self.events.append(Posted(at + place, "prometheus", (Said(key, FIRING, at, "critical"),)))
            if self._often(0.5):
                who = self.chance.choice(AGENTS)
                self.events.append(Acted(at + 60 * place, who, "link", f"alert:prometheus:{key}"))
            if self._often(0.8):
                self.events.append(Posted(at + HOUR + place, "prometheus", (Said(key, ENDED, at, "critical"),)))

    # ------------------------------------------------------------------ circumstances

    def _circumstances(self, day: int) -> None:
        chance = self.chance
        at = day + chance.randrange(DAY)
        if self._often(0.3):
            self.events.append(PolicyChanged(at, chance.choice(VARIANTS)))
        if self._often(0.15):
            self.events.append(Left(at, chance.choice(PEOPLE), at + chance.randint(1, 14) * DAY, self._often(0.7)))
        if self._often(0.3):
            trouble = chance.choice(tuple(Trouble))
            lengths = (5 * MINUTE, HOUR, 8 * HOUR, 2 * DAY) if trouble is Trouble.REFUSED else (5 * MINUTE, HOUR)
            self.events.append(RelayFailed(at, trouble, at + self._soon(chance.choice(lengths))))
        if self._often(0.15):
            self.events.append(ClockJumped(day + chance.randrange(DAY), chance.choice((-HOUR, HOUR))))
        if self._often(0.07):
            begin = day + chance.randrange(DAY)
            self.events.append(Stopped(begin, begin + chance.choice((MINUTE, HOUR, 8 * HOUR))))
        for _ in range(self._about(3)):
            point = chance.choice(tuple(Point))
            self.events.append(Struck(day + self._hour_of_day(), chance.randint(1, 9), point))


def write_story(seed: int, *, days: int) -> list[Event]:
    """The story of a seed: a busy desk for some days, a calm one for longer."""
    chance = random.Random(seed)
    events = Author(chance, days).write(chance.choice((1.0, 3.0, 6.0)) if days < CALM_FROM_DAYS else CALM)
    return [*_with_interruptions(events, chance), *_years_astray(random.Random(f"{seed} astray"), days)]


def _years_astray(chance: random.Random, days: int) -> Iterator[Event]:
    """Now and then the clock is a year ahead or behind for some hours, and is put right again."""
    for day in range(days):
        if chance.random() < (ASTRAY if days < CALM_FROM_DAYS else SELDOM_ASTRAY):
            begin, year = day * DAY + chance.randrange(DAY), chance.choice((-YEAR, YEAR))
            yield ClockJumped(begin, year)
            yield ClockJumped(begin + chance.choice((MINUTE, HOUR, 8 * HOUR)), -year)


def _with_interruptions(events: list[Event], chance: random.Random) -> Iterator[Event]:
    """Now and then an agent does something to a record while the desk takes a turn with it."""
    for event in events:
        thing = None
        if isinstance(event, Posted):
            thing = f"alert:{event.source}:{event.said[0].key}"
        elif isinstance(event, MailSent) and event.answers is not None:
            thing = f"mail:{event.answers}"
        if thing is not None and chance.random() < INTERRUPTED:
            verb = chance.choice(("ack", "assign", "note", "reply", "wait", "resolve", "close"))
            other = {"assign": "ben", "wait": "customer", "resolve": "waived"}.get(verb, "")
            acted = Acted(event.at, chance.choice(AGENTS), verb, thing, other)
            yield Interrupted(event.at, chance.choice(BETWEEN), acted)
        yield event
