"""YAML as text with line numbers: nothing is guessed, nothing hidden is followed, nothing breaks the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.nodes import DEEPEST, LARGEST, Items, Scalar, Table, read_nodes
from rules.problems import Problems


def read(text: str) -> tuple[object, list[str]]:
    problems = Problems()
    return read_nodes("a.yml", text, problems), [str(problem) for problem in problems.errors]


@pytest.mark.parametrize("word", ["on", "yes", "no", "12:30", "11-25", "1.0", "0x10", "2026-11-24", "1_000", "~x"])
def test_plain_words_stay_the_text_that_was_written(word: str) -> None:
    node, problems = read(f"key: {word}\n")
    assert isinstance(node, Table)
    value = node.entries["key"]
    assert isinstance(value, Scalar)
    assert (value.text, problems) == (word, [])


def test_every_node_knows_its_line_and_its_path() -> None:
    node, _ = read("a:\n  - b: 1\n    c: 2\n")
    assert isinstance(node, Table)
    items = node.entries["a"]
    assert isinstance(items, Items)
    inner = items.items[0]
    assert isinstance(inner, Table)
    assert (inner.keys["c"].line, inner.keys["c"].path) == (3, "a[0].c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yml:3: a: this is said twice, first in line 1; expected it once"),
        ("a: &x 1\nb: *x\n", "a.yml:1: anchors and aliases (& and *) are not read here"),
        ("a: !!int 3\n", "a.yml:1: tags such as tag:yaml.org,2002:int are not read here, expected the value alone"),
        ("a: 1\n---\nb: 2\n", "a.yml:2: a second document begins here, expected one a file"),
        ("? [a]\n: 1\n", "a.yml:1: this key is a list or a table, expected a word"),
        ("a: [1,\nb: {\n", "a.yml:3: this is no YAML: "),
        ("a:\n\tb: 1\n", "a.yml:2: this is no YAML: "),
        ("a: \x07\n", "a.yml:1: this is no YAML: "),
        ("a: \udcff\n", "a.yml:1: "),
        ("[" * (DEEPEST + 5), f"a.yml:1: this is nested deeper than {DEEPEST} levels, expected fewer"),
        ("[" * 100_000, f"a.yml:1: this is nested deeper than {DEEPEST} levels, expected fewer"),
        ("x" * (LARGEST + 1), f"a.yml:1: the file has {LARGEST + 1} characters, expected at most {LARGEST}"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, said: str) -> None:
    """Fault 83."""
    _, problems = read(text)
    assert problems
    assert problems[0].startswith(said)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "~\n", "null"])
def test_an_empty_file_is_no_node(text: str) -> None:
    assert read(text) == (None, [])


@given(st.text(alphabet=st.characters(), max_size=60) | st.text(alphabet="ab:-[]{}&*!|>'\"#, \n", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    node, problems = read(text)
    assert node is None or isinstance(node, (Scalar, Items, Table))
    assert all(problem.startswith("a.yml:") for problem in problems)
