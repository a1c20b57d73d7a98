"""What stands in a mail's parts: texts in their order, the HTML, and the files (A42, A43, A56 to A60)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from incidents.signal import Attachment
from ingest.charsets import decode_text, raw_text
from ingest.files import Files, given_name
from ingest.html import Page, read_html
from ingest.mime import Part, Reading, content_of, first
from ingest.quotes import Split
from kit.text import clean_text

TEXT_MAX = 1_048_576

#: Parts that carry a mail's machinery; they are neither text nor files (A56).
_MACHINERY = frozenset(
    {
        "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
        "message/feedback-report", "text/rfc822-headers", "text/rfc822-header", "application/pgp-signature",
        "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-encrypted",
        "text/x-amp-html",
    }
)  # fmt: skip
_TEXTS = frozenset({"text/plain", "text/html", "text/enriched", "text/markdown"})
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_CANNOT_READ = "the mail is encrypted: its text can't be read here"
_ARMOUR = re.compile(r"-----BEGIN PGP MESSAGE-----.{0,1000000}?(?:-----END PGP MESSAGE-----|\Z)", re.DOTALL)
#: A soft line end: a space before it, and neither a signature nor a quotation around it; see rfc3676 4.1.
_FLOWED = re.compile(r"(?<!\n--)(?<!\A--) \n(?![>\n])(?!-- \n)")
_META = re.compile(rb"<meta[^>]{0,200}\bcharset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE | re.ASCII)
_UU = re.compile(r"(?:\A|\n)begin [0-7]{3,4} [^\n]{1,200}\n(?:[ -`]{1,61}\r?\n)+(?:`?\r?\n)?end[ \t]*(?=\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of readable content in one or both of its forms."""

    plain: str | None
    html: str | None


@dataclass(slots=True)
class Content:
    """All that a mail holds."""

    files: Files
    blocks: list[Block] = field(default_factory=list)
    pages: dict[int, Page] = field(default_factory=dict)

    @property
    def html(self) -> str | None:
        """The HTML of the whole mail, plain pieces between it as they are; None where there is none."""
        if not any(block.html for block in self.blocks):
            return None
        pieces = (block.html or f"<pre>{escape(block.plain or '')}</pre>" for block in self.blocks)
        return clean_text("\n".join(pieces), TEXT_MAX)

    def page(self, number: int) -> Page:
        """The HTML of one block, read once."""
        if number not in self.pages:
            self.pages[number] = read_html(self.blocks[number].html or "")
        return self.pages[number]

    def text(self) -> str:
        """The whole readable text: plain where a sender wrote it, else made of the HTML."""
        return self._joined(new=False)

    def marked(self) -> Split | None:
        """The text in two, as the HTML marks it; None where it marks nothing as quoted, or all."""
        pages = [self.page(number) for number, block in enumerate(self.blocks) if block.html]
        quoted = _joined(page.quoted_text for page in pages)
        new = self._joined(new=True) if quoted else ""
        return Split(new, quoted) if new else None

    @property
    def has_plain(self) -> bool:
        """Whether the sender wrote a plain form of all that can be read."""
        return all(block.plain and block.plain.strip() for block in self.blocks)

    def _joined(self, *, new: bool) -> str:
        pieces = []
        for number, block in enumerate(self.blocks):
            if block.plain and block.plain.strip() and not (new and block.html):
                pieces.append(block.plain.strip())
            elif block.html:
                page = self.page(number)
                pieces.append(page.new_text if new else page.text)
        return _joined(pieces)

    def attachments(self, *, new: bool) -> tuple[Attachment, ...]:
        """The files; for a reply without the pictures that only its quote shows, such as our logo (A58)."""
        shown: set[str] = set()
        left_out: set[str] = set()
        for number, block in enumerate(self.blocks):
            if block.html and "cid:" in block.html:
                page = self.page(number)
                shown |= page.cids
                left_out |= page.cids - page.new_cids if new else set()
        return self.files.attachments(shown, left_out)


def _joined(pieces: Iterable[str]) -> str:
    return clean_text("\n\n".join(piece for piece in pieces if piece), TEXT_MAX)


def read_content(reading: Reading, mail: Part) -> Content:
    """The texts and files of a mail's parts."""
    content = Content(Files(reading))
    content.blocks = _read(reading, mail, content)
    return content


def _read(reading: Reading, part: Part, content: Content) -> list[Block]:
    """The blocks of a part and all below it; files go to ``content``. Depth is bounded by the reading."""
    if part.type in _ENCRYPTED:
        reading.note(_CANNOT_READ)
    elif part.type == "multipart/signed":
        reading.note("the mail is signed; its signature was not checked")
    if part.type == "multipart/alternative":
        return _best_of([_read(reading, inner, content) for inner in part.parts])
    if part.parts:
        return [block for inner in part.parts for block in _read(reading, inner, content)]
    if _is_text(part):
        text = _text_of(reading, part)
        if part.type == "text/html":
            return [Block(None, text)]
        return [Block(_without_armour(reading, text), None)]
    if part.type not in _MACHINERY and not part.type.startswith("multipart/"):
        content.files.add(part)
    return []


def _best_of(choices: list[list[Block]]) -> list[Block]:
    """Alternatives as one: the plain form beside the HTML one, so that neither is lost."""
    plain = next((blocks for blocks in choices if blocks and not any(block.html for block in blocks)), None)
    html = next((blocks for blocks in reversed(choices) if any(block.html for block in blocks)), None)
    if html is None or plain is None:
        return html or plain or []
    if len(html) > 1 and any(block.html is None for block in html):
        return html  # the HTML choice has texts of its own between its pieces
    said = "\n\n".join(block.plain or "" for block in plain)
    return [Block(said, "\n".join(block.html or "" for block in html))]


def _is_text(part: Part) -> bool:
    """Whether a part is to be read and not to be saved."""
    if part.type not in _TEXTS:
        return False
    disposition = raw_text(first(part.fields, "content-disposition")).strip().lower()
    return not disposition.startswith("attachment") and not given_name(part)


def _text_of(reading: Reading, part: Part) -> str:
    """The text of a part, with one kind of line end."""
    data = content_of(reading.body, part)
    if len(data) > 4 * TEXT_MAX:
        data = data[: 4 * TEXT_MAX]
        reading.note("content truncated: the text was longer than 1 MiB")
    charset = part.parameters.get("charset")
    if charset is None and part.type == "text/html" and (found := _META.search(data[:1024])):
        charset = found[1].decode("ascii")
    decoded = decode_text(data, charset)
    if decoded.note:
        reading.note(decoded.note)
    text = decoded.text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if part.parameters.get("format", "").lower() == "flowed":
        text = _FLOWED.sub(" ", text)
    if len(text) > TEXT_MAX:
        reading.note("content truncated: the text was longer than 1 MiB")
    return clean_text(text, TEXT_MAX)


def _without_armour(reading: Reading, text: str) -> str:
    """The text with cipher text and uuencoded files left out (A54, A59)."""
    if "-----BEGIN PGP MESSAGE-----" in text:
        reading.note(_CANNOT_READ)
        text = _ARMOUR.sub("[encrypted]", text)
    if "begin " in text and _UU.search(text):
        reading.note("a file inside the text was left out")
        text = _UU.sub("", text)
    return text
