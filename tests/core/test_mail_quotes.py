"""What a person wrote in a reply, told apart from what their program quoted (A44 to A46, A58)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.signal import Mail
from incidents.story import REPLY_MARKER
from ingest.formats.mail import parse
from ingest.quotes import Split, split_reply

QUOTE = "> Which tray do you use?\n> Since when?"
HEADERS = "From: Example IT\nSent: Monday, 23 November 2026\nTo: Ana Example\nSubject: Printer"


def html_reply(html: str, *, subject: str = "Re: Printer", plain: str | None = None) -> Mail:
    head = f"From: ana@example.com\nSubject: {subject}\nIn-Reply-To: <a@example.com>\n"
    if plain is None:
        body = f"{head}Content-Type: text/html; charset=utf-8\n\n{html}"
    else:
        body = (
            f"{head}Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\n"
            f"{plain}\n--x\nContent-Type: text/html; charset=utf-8\n\n{html}\n--x--\n"
        )
    return parse(body.encode(), {"to": ["support@example.com"]})


@pytest.mark.parametrize(
    "attribution",
    [
        "On Mon, 23 Nov 2026 at 09:05, Example IT <support@example.com> wrote:",
        "On Mon, 23 Nov 2026 at 09:05, Example IT <support@example.com>\nwrote:",
        "Am 23.11.2026 um 09:05 schrieb Example IT:",
        "Le lun. 23 nov. 2026 à 09:05, Example IT <support@example.com> a écrit :",
        "El lun, 23 nov 2026 a las 9:05, Example IT (<support@example.com>) escribió:",
        "Il giorno lun 23 nov 2026 alle ore 09:05 Example IT <support@example.com> ha scritto:",
        "Em seg., 23 de nov. de 2026 às 09:05, Example IT <support@example.com> escreveu:",
        "Op 23-11-2026 om 09:05 schreef Example IT:",
        "Den 23.11.2026 09:05, skrev Example IT:",
        "Dnia 23.11.2026 o 09:05 Example IT napisał:",
        "Dne 23. 11. 2026 v 9:05 Example IT napsal(a):",
        "23.11.2026 09:05, Example IT пишет:",
        "Στις 23/11/2026 09:05, Example IT έγραψε:",
        "2026年11月23日 09:05,Example IT <support@example.com> 写道:",
    ],
)
@pytest.mark.parametrize("quote", [QUOTE, "Which tray do you use?"])
def test_an_attribution_in_any_language_goes_with_its_quote(attribution: str, quote: str) -> None:
    """A45: whether its program marked each line, or none."""
    found = split_reply(f"The second one.\n\n{attribution}\n\n{quote}\n")
    assert found == Split("The second one.", f"{attribution}\n\n{quote}")


@pytest.mark.parametrize(
    "separator",
    [
        "-----Original Message-----",
        "-------- Ursprüngliche Nachricht --------",
        "------------------ 原始邮件 ------------------",
        "-------- Αρχικό μήνυμα --------",
        REPLY_MARKER,
        HEADERS,
        f"________________________________\n{HEADERS}",
        "*From:* Example IT\n*Date:* Monday\n*To:* Ana Example",
    ],
)
def test_below_a_separator_nothing_is_new(separator: str) -> None:
    """A45: the lines of programs, and our own."""
    found = split_reply(f"It works again.\n\n{separator}\n\nWe got your message.")
    assert found.new_text == "It works again."
    assert found.quoted.endswith("We got your message.")


@pytest.mark.parametrize(
    "text",
    [
        "On Monday I switched it on again.\nIt failed.",
        "On 3 May I wrote: it fails.\nIt still does.",
        "This is what I wrote on 3.5.:\nit fails",
        "To be clear: see below.\nFrom: here to there",
        "| host | state |\n| a | down |",
        "See this:\n\n-- no signature\n\nmore",
    ],
)
def test_a_sentence_is_no_attribution(text: str) -> None:
    """A46: what only looks like one stays."""
    assert split_reply(text) == Split(text, "")


def test_an_answer_below_the_quote_survives() -> None:
    """A46: bottom-posting, also below the quote of our own mail."""
    text = f"On 23.11.2026 Example IT wrote:\n> {REPLY_MARKER}\n{QUOTE}\n\nThe second one.\n\n-- \nAna"
    assert split_reply(text).new_text == "The second one."


def test_answers_between_quotes_keep_the_quotes_they_answer() -> None:
    """A46."""
    text = "On 23.11.2026 Example IT wrote:\n> Which tray?\nThe second.\n> Since when?\nMonday."
    assert split_reply(text) == Split(text, "")


@pytest.mark.parametrize(
    "text", [QUOTE, f"On 23.11.2026 Example IT wrote:\n{QUOTE}", REPLY_MARKER, HEADERS, "", "\n\n"]
)
def test_when_nothing_is_left_everything_is_kept(text: str) -> None:
    """A44."""
    assert split_reply(text) == Split(text.strip(), "")


def test_signatures_end_a_reply() -> None:
    """A46: by their line, and by the words of telephones."""
    assert split_reply(f"Yes.\n\n-- \nAna Example\nRoom 3\n\n{QUOTE}").new_text == "Yes."
    assert split_reply("Yes.\n\nSent from my iPhone").new_text == "Yes."
    assert split_reply("Sent from my iPhone").new_text == "Sent from my iPhone"


@given(
    st.lists(
        st.sampled_from(
            ["text", "> q", "", REPLY_MARKER, "On 1.1.2026 A wrote:", "wrote:", "-- ", HEADERS, ">> q"]
        )
    )
)
def test_nothing_that_a_person_wrote_on_top_is_lost(lines: list[str]) -> None:
    """A44: the first line of one's own stays, and the two parts hold no more than the text."""
    text = "\n".join(["mine", *lines])
    found = split_reply(text)
    assert found.new_text.startswith("mine")
    told = {line.strip() for line in [*found.new_text.split("\n"), *found.quoted.split("\n")]}
    assert told <= {line.strip() for line in text.split("\n")} | {""}


# ------------------------------------------------------------------ HTML


@pytest.mark.parametrize(
    "quote",
    [
        (
            '<div class="gmail_quote"><div class="gmail_attr">On Monday Example IT wrote:</div>'
            '<blockquote class="gmail_quote">Which tray?</blockquote></div>'
        ),
        '<div class="protonmail_quote">Example IT:<blockquote type="cite">Which tray?</blockquote></div>',
        '<div id="yahoo_quoted_1" class="yahoo_quoted">Which tray?</div>',
        '<div class="moz-cite-prefix">Am Montag:</div><blockquote type="cite">Which tray?</blockquote>',
        '<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">From: Example IT</div><div>Which tray?</div>',
        '<div id="x_divRplyFwdMsg">From: Example IT</div><div>Which tray?</div>',
        '<span id="OLK_SRC_BODY_SECTION">Which tray?</span>',
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in">From: x</div><p>Which tray?',
        '<div style="border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt 0cm 0cm 0cm">Von: x</div><p>Which tray?',
    ],
)
def test_the_marks_of_html_tell_the_quote(quote: str) -> None:
    """A45: what each client puts around it, also when another one renamed it."""
    read = html_reply(f"<div>The second one.</div>{quote}")
    assert read.new_text == "The second one."
    assert read.quoted.endswith("Which tray?")
    assert "Which tray?" in read.text


def test_html_answers_between_and_below_quotes_survive() -> None:
    """A46."""
    quote = '<blockquote type="cite">Which tray?</blockquote>'
    assert html_reply(f"{quote}<p>The second.</p>{quote}<p>Monday.</p>").new_text == "The second.\n\nMonday."


def test_content_around_the_page_belongs_to_the_message() -> None:
    """A43: before its beginning and after its end."""
    read = html_reply("before <html><body><p>page</p></body></html> after", subject="Printer")
    assert read.text == "before\n\npage\n\nafter"


def test_a_forwarded_mail_is_read_whole() -> None:
    """A44: only replies are stripped."""
    read = html_reply('<p>See below</p><blockquote type="cite">broken</blockquote>', subject="Fwd: Printer")
    assert read.new_text == read.text == "See below\n\nbroken"


def test_pictures_that_only_the_quote_shows_go_with_it() -> None:
    """A58."""
    picture = "Content-Type: image/png; name={0}.png\nContent-ID: <{0}@x>\nContent-Transfer-Encoding: base64\n\naGk=\n"
    page = '<img src="cid:new@x">Look<blockquote type="cite">we<img src="cid:logo@x"></blockquote>'
    body = (
        "From: ana@example.com\nSubject: Re: a\nContent-Type: multipart/related; boundary=x\n\n"
        f"--x\nContent-Type: text/html\n\n{page}\n--x\n{picture.format('new')}--x\n{picture.format('logo')}--x--\n"
    )
    read = parse(body.encode(), {"to": ["support@example.com"]})
    assert [(one.name, one.inline) for one in read.attachments] == [("new.png", True)]
