"""The reference pages say what the code reads."""

from __future__ import annotations

import pytest

from daemon.config import Config
from daemon.reference import FOLDER, pages
from rules.load import FILES
from rules.reference import undocumented


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_says_what_the_code_reads(name: str) -> None:
    """`python -m daemon.reference` writes it anew."""
    assert (FOLDER / name).read_text("utf-8") == pages()[name]


@pytest.mark.parametrize("kind", [Config, *FILES.values()], ids=["triaged.yml", *FILES])
def test_every_field_has_a_sentence(kind: object) -> None:
    assert undocumented(kind) == []
