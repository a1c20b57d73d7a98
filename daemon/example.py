"""A desk to begin with: a commented configuration, the policy pack to change, and a token for the first monitor."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from daemon.policy import FRAMEWORKS, pack_folder
from rules.problems import expected

_CONFIG = """\
# triaged.yml: what this process is told. Every key is described in docs/reference/settings.md.
# `triaged check -c triaged.yml` tells every mistake at once. Paths are counted from this folder.

desk: {{name: Example IT, domain: example.com, framework: {framework}, zone: Europe/Berlin, language: en}}

store: sqlite:///state/triaged.db             # or postgresql://triaged@db/triaged
state: state                                  # marker, locks

http: {{listen: 127.0.0.1:8080}}                # with a proxy before it: public_url: https://desk.example.com
smtp:
  listen: 127.0.0.1:8025
  addresses: {{support@example.com: support}}   # an address, and its entry in policy/mailboxes.yml
# lmtp: {{listen: state/lmtp.sock}}             # the door for a mail server on the same machine
# trust: {{authserv_id: mx.example.com}}        # whose Authentication-Results and spam marks count

sources:                                      # who may post alerts, to /ingest/{{name}}
  - {{name: prometheus, format: alertmanager, token_file: secrets/prometheus.token}}
  - {{name: pager, format: pagerduty, token_file: secrets/pager.token}}

relay: {{url: "maildir:outgoing", from: Example IT <support@example.com>}}   # then smtp://127.0.0.1:25

policy: policy                                # what your organisation decided: people, services, rules
"""
_TOKENS = ("prometheus", "pager")


class NotWritten(Exception):
    """The example cannot be written there."""

    code = "init.refused"
    permanent = True


def write_example(folder: Path, *, framework: str = "lean") -> Sequence[Path]:
    """Write the files into ``folder``, which is made when it is not there; nothing that exists is changed.

    Raises `NotWritten` with a sentence.
    """
    if framework == "itil":
        raise NotWritten("The framework itil is not in this version; expected --framework lean.")
    if framework not in FRAMEWORKS:
        raise NotWritten(f"There is no framework {framework[:40]!r}: {expected(framework, FRAMEWORKS)}.")
    texts = {folder / "triaged.yml": _CONFIG.format(framework=framework)}
    for path in sorted(pack_folder(framework).glob("*.yml")):
        texts[folder / "policy" / path.name] = path.read_text("utf-8")
    for name in _TOKENS:
        texts[folder / "secrets" / f"{name}.token"] = f"{secrets.token_hex(16)}\n"
    present = [path for path in texts if path.exists()]
    if present:
        raise NotWritten(f"{present[0]} is there already; expected a folder without it, for nothing is overwritten.")
    try:
        for path, text in texts.items():
            _write(path, text, secret=path.suffix == ".token")
    except OSError as error:
        raise NotWritten(f"{error.filename} cannot be written: {error.strerror}.") from error
    return tuple(texts)


def _write(path: Path, text: str, *, secret: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600 if secret else 0o644, exist_ok=False)
    path.write_text(text, "utf-8")
