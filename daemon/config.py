"""`triaged.yml`: what this process is told. Read once, with every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo

from daemon import readers
from daemon.readers import Listen, Secret, Sender
from kit.addresses import normal_address, parse_address
from rules.nodes import read_nodes
from rules.policy import Policy
from rules.problems import NOWHERE, Problem, Problems, Where, Word, expected
from rules.reading import BAD, read_value, setting, zone

MIB = 1_048_576
_LOOPBACK_HTTP = Listen("127.0.0.1", 8080)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskConfig:
    """Who this desk is."""

    name: str = setting("What the desk calls itself in mails.")
    domain: Annotated[str, readers.domain] = setting("The domain of its Message-IDs; one that belongs to you.")
    framework: Annotated[str, readers.framework] = setting(
        "The pack of policy that counts where the folder says nothing: `lean`.", default="lean"
    )
    zone: Annotated[ZoneInfo, zone] = setting(
        "The desk's time zone, for times in mails and rules.", default=ZoneInfo("UTC")
    )
    language: Literal["en"] = setting("The language of mails to people whose own is not known: `en`.", default="en")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The web door: webhooks, links in mails, metrics."""

    listen: Annotated[Listen, readers.listen] = setting(
        "Address and port. On loopback until you put a proxy with TLS before it; the list at `/` is only there.",
        default=_LOOPBACK_HTTP,
    )
    public_url: Annotated[str, readers.web_address] | None = setting(
        "What links in mails begin with; `http://` and the listen address when left out.", default=None
    )
    max_size: Annotated[int, readers.size] = setting(
        "Size of the largest body taken; the largest payload seen of a monitor is a tenth of it.", default=10 * MIB
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """A certificate of the mail door's own."""

    certificate_file: Annotated[Path, readers.existing_file] = setting("PEM file: the certificate and its chain.")
    key_file: Annotated[Path, readers.existing_file] = setting("PEM file: the certificate's key.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConfig:
    """The mail door, and the desk's addresses at every mail door."""

    addresses: Mapping[Word, Word] = setting(
        "The desk's addresses, each with its entry of `mailboxes.yml`; `*@example.com` stands for all others there."
    )
    listen: Annotated[Listen, readers.listen] | None = setting(
        "Address and port of the SMTP door; none when left out.", default=None
    )
    max_size: Annotated[int, readers.size] = setting(
        "Size of the largest mail taken: what large providers let through.", default=35 * MIB
    )
    users_file: Annotated[Path, readers.existing_file] | None = setting(
        "Who may sign in, a line each as `python -m ingest.listeners.smtp_users NAME` prints it; nobody when left out.",
        default=None,
    )
    tls: TlsConfig | None = setting("Offers STARTTLS, and lets people sign in; neither when left out.", default=None)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class LmtpConfig:
    """The door for a mail server on the same machine."""

    listen: Annotated[Path, readers.place] = setting("Path of the Unix socket.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig:
    """Whose word about mails counts."""

    authserv_id: str | None = setting(
        "The mail server whose `Authentication-Results` and spam marks count; nobody's when left out, "
        "for senders can write them too.",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """A monitor, or anything else that posts to `/ingest/{name}`."""

    LATER: ClassVar = {"mapping": "mappings of your own"}

    name: Annotated[str, readers.short_name] = setting("Its name, as in the path it posts to.")
    format: Literal["alertmanager", "pagerduty", "json"] = setting(
        "What it sends: `alertmanager`, `pagerduty`, `json`."
    )
    token: Annotated[Secret, readers.secret] = setting(
        f"File with the token that it shows, of {readers.SHORTEST_TOKEN} characters or more.", key="token_file"
    )
    group: Annotated[str, readers.short_name] | None = setting(
        "Sources of one group report the same things, so their alerts fold together; its own name when left out.",
        default=None,
    )
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Where mail is handed over."""

    url: Annotated[str, readers.relay_url] = setting(
        "`smtp://host:25`, `smtps://user@host?password_file=/path`, or `maildir:/path` to try things out."
    )
    alternate: Annotated[str, readers.relay_url] | None = setting(
        "Another relay, for pages that the first has not taken within two minutes; written like `url`.", default=None
    )
    sender: Annotated[Sender, readers.sender] = setting(
        "Whom mails come from, such as `Example IT <support@example.com>`.", key="from"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Where metrics are read."""

    listen: Annotated[Listen, readers.listen] | None = setting(
        "Address and port for `/metrics`, `/healthz` and `/readyz` alone; those of `http` when left out.", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that `triaged.yml` says."""

    LATER: ClassVar = {
        "mailboxes": "mailboxes read by IMAP",
        "alertmanagers": "Alertmanagers that are asked",
        "channels": "channels beside mail",
    }

    desk: DeskConfig = setting("Who this desk is.")
    store: Annotated[str, readers.store_url] = setting(
        "The database: `sqlite:////var/lib/triaged/triaged.db`, or `postgresql://triaged@db/triaged`."
    )
    state: Annotated[Path, readers.place] = setting("Folder for the marker, locks and sockets.")
    http: HttpConfig = setting("The web door.", factory=HttpConfig)
    smtp: SmtpConfig | None = setting("The mail door, and the desk's addresses.", default=None)
    lmtp: LmtpConfig | None = setting("The door for a mail server on the same machine.", default=None)
    trust: TrustConfig = setting("Whose word about mails counts.", factory=TrustConfig)
    sources: tuple[SourceConfig, ...] = setting("Who may post alerts.", default=())
    relay: RelayConfig = setting("Where mail is handed over.")
    policy: Annotated[Path, readers.place] | None = setting(
        "Folder with the organisation's policy; the framework's pack as it is when left out.", default=None
    )
    metrics: MetricsConfig = setting("Where metrics are read.", factory=MetricsConfig)
    workers: int = setting(
        "Worker processes. One writes to SQLite at a time, so more help only on PostgreSQL.", default=1
    )
    where: Where = NOWHERE

    @property
    def public_url(self) -> str:
        """What links in mails begin with."""
        return self.http.public_url or f"http://{self.http.listen}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The desk's addresses in their order, each with its entry of mailboxes.yml."""
        if self.smtp is None:
            return {}
        return {str(address).lower(): str(mailbox) for address, mailbox in self.smtp.addresses.items()}

    @property
    def groups(self) -> Mapping[str, str]:
        """Each source's group."""
        return {source.name: source.group or source.name for source in self.sources}


class LoadedConfig(NamedTuple):
    """What became of a file: a configuration when there are no problems; warnings beside."""

    config: Config | None
    problems: Sequence[Problem]
    warnings: Sequence[Problem]


def load_config(path: Path) -> LoadedConfig:
    """The configuration in a file, with the secrets that it names, or everything that is wrong with it."""
    problems = Problems()
    config: Config | None = None
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text in UTF-8"
        problems.add(Where(str(path), 1), f"the configuration cannot be read: {said}; `triaged init` writes one")
    else:
        config = read_config(str(path), text, problems)
    errors = sorted(problems.errors, key=lambda problem: problem.where.line)
    return LoadedConfig(None if errors else config, errors, problems.warnings)


def read_config(file: str, text: str, problems: Problems) -> Config | None:
    """The configuration in some text; ``file`` is its name, from whose folder paths are counted."""
    node = read_nodes(file, text, problems)
    if node is None:
        if not problems.errors:
            problems.add(Where(file, 1), "the configuration is empty, expected what `triaged init` writes")
        return None
    config = read_value(Config, node, problems)
    if config is BAD:
        return None
    assert isinstance(config, Config)
    for place, said in _mistakes(config):
        problems.add(place, said)
    for place, said in _risks(config):
        problems.warn(place, said)
    return config


def check_together(config: Config, policy: Policy) -> Sequence[Problem]:
    """What is wrong between configuration and policy.

    Desk addresses whose mailbox no policy describes, and people or teams who are told at an address of the desk's own.
    """
    told = {agent.mail: handle for handle, agent in policy.agents.items()}
    told |= {team.mail: name for name, team in policy.teams.items() if team.mail is not None}
    problems: list[Problem] = []
    for address, mailbox in config.smtp.addresses.items() if config.smtp else ():
        if mailbox not in policy.mailboxes:
            said = f"mailboxes.yml has no {mailbox[:80]!r}, {expected(mailbox, policy.mailboxes)}"
            problems.append(Problem(mailbox.where, said))
        if address.lower() in told:
            said = f"the policy tells {told[address.lower()]} at this address of the desk's own, expected another one"
            problems.append(Problem(address.where, said))
    return problems


def _mistakes(config: Config) -> Iterator[tuple[Where, str]]:
    """What no single value shows."""
    if config.smtp is not None:
        yield from _address_mistakes(config.smtp)
    elif config.lmtp is not None:
        yield config.where, "there is an LMTP door and no smtp.addresses, expected the addresses that it takes mail for"
    seen: dict[str, str] = {}
    for source in config.sources:
        if source.name in seen.values():
            yield source.where, f"two sources are called {source.name!r}, expected two names"
        if source.token.value in seen:
            yield source.where, f"it has the token of {seen[source.token.value]!r}, expected a token of its own"
        seen[source.token.value] = source.name
    if config.workers < 1:
        yield config.where, f"workers is {config.workers}, expected at least 1"


def _address_mistakes(smtp: SmtpConfig) -> Iterator[tuple[Where, str]]:
    seen: set[str] = set()
    if not smtp.addresses:
        yield smtp.where, "smtp.addresses is empty, expected at least one desk address"
    for address in smtp.addresses:
        parsed = parse_address(f"any{address[1:]}" if address.startswith("*@") else address)
        if parsed is None or parsed.plus is not None or "*" in address[1:]:
            yield address.where, f"{address[:80]!r} is no desk address, expected one such as support@example.com"
        normal = normal_address(address) or address.lower()
        if normal in seen:
            yield address.where, "this address stands here twice, expected it once"
        seen.add(normal)


def _risks(config: Config) -> Iterator[tuple[Where, str]]:
    """What is allowed, and probably not meant."""
    for source in config.sources:
        if source.token.exposed():
            yield source.where, f"everybody on this machine can read {source.token.path}, expected mode 0600"
    if config.workers > 1 and config.store.startswith("sqlite"):
        yield config.where, f"workers is {config.workers}, but on SQLite only one works at a time"
    if not config.http.listen.loopback and config.http.public_url is None:
        yield config.where, "http listens beyond this machine without public_url, so links in mails will not work"
