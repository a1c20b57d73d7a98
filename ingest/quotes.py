"""What a person wrote in a reply, told apart from what their program quoted below or above it (A44 to A46)."""

# ruff: noqa: RUF001 - other languages have letters and colons of their own
from __future__ import annotations

import re
from typing import NamedTuple

from incidents.story import REPLY_MARKER

LINES_MAX = 20_000
_ATTRIBUTION_LINES = 4
_SIGNATURE_LINES = 10
_LABELS_NEEDED = 3

_WORDS = (
    "original message|originalnachricht|ursprüngliche nachricht|message d'origine|message original|mensaje original"
    "|messaggio originale|mensagem original|oorspronkelijk bericht|oprindelig meddelelse|opprinnelig melding"
    "|ursprungligt meddelande|alkuperäinen viesti|wiadomość oryginalna|původní zpráva|eredeti üzenet|исходное сообщение"
    "|оригинальное сообщение|αρχικό μήνυμα|原始邮件|原始郵件|邮件原件|元のメッセージ|원본 메시지|orijinal mesaj"
    "|forwarded message|weitergeleitete nachricht|reply message"
)
_SEPARATOR = re.compile(rf"[>\s]{{0,20}}[-_*=]{{2,40}}\s{{0,4}}(?:{_WORDS})\s{{0,4}}[-_*=]{{0,40}}\s*", re.IGNORECASE)
_ATTRIBUTION_START = re.compile(
    r"(?:On|Am|Le|El|Il|Em|Op|Den|Dne|På|W dniu|Dnia|В|Στις|Τη[νς]|Pada|Vào|\d{1,4}[./年-])\s?",
)
_PERSON_WROTE = re.compile(r"\b(?:I|we|you|he|she|they|who) wrote\s?:\s*$")
_ATTRIBUTION_END = re.compile(
    r"(?:wrote|schrieb(?: [^\n:]{0,200})?|a écrit|escribió|ha scritto|escreveu|schreef(?: [^\n:]{0,200})?"
    r"|skrev(?: [^\n:]{0,200})?|napsal(?:\(a\)|a)?|napisał(?:\(a\)|a)?|írta|kirjoitti|пишет|написала?|έγραψε|yazdı"
    r"|menulis|đã viết|写道|寫道|のメール|님이 작성)\s?[:：]\s*$",
    re.IGNORECASE,
)
_DATE_OR_ADDRESS = re.compile(r"\d{1,4}[./\-:年\s]|@")
_LABEL = re.compile(
    r"[>*\s]{0,10}(?P<label>from|sent|date|to|cc|subject|von|gesendet|datum|an|betreff|de|envoyé|à|objet"
    r"|enviado(?: el)?|para|asunto|da|inviato|a|oggetto|data|assunto|van|verzonden|aan|onderwerp|fra|sendt|til|emne"
    r"|från|skickat|till|ämne|od|wysłano|do|temat|от|отправлено|кому|тема|发件人|发送时间|收件人|主题|寄件者|日期|主旨|差出人|送信日時|宛先|件名)"
    r"\s?\*{0,2}\s?[:：]",
    re.IGNORECASE,
)
_FIRST_LABEL = re.compile(
    r"[>*\s]{0,10}(?:from|von|de|da|van|fra|från|od|от|发件人|寄件者|差出人)\s?\*{0,2}\s?[:：]", re.IGNORECASE
)
_SENT_FROM = re.compile(
    r"(?:sent from (?:my|outlook|mail for|yahoo)|von meinem \w{2,20} gesendet|gesendet von|envoyé de mon"
    r"|enviado desde mi|inviato da|get outlook for)\b.{0,80}",
    re.IGNORECASE,
)


class Split(NamedTuple):
    """A reply in two: what is new, and what was left out of it."""

    new_text: str
    quoted: str


def split_reply(text: str) -> Split:
    """The two parts of a reply; when nothing new would remain, everything counts as new."""
    lines = text.split("\n", LINES_MAX)
    end = _end_of_new(lines, len(_without_signature(lines)))
    start = _start_of_new(lines, end)
    new = _without_signature(lines[start:end])
    new_text = "\n".join(new).strip()
    if not new_text:
        return Split(text.strip(), "")
    quoted = [*lines[:start], *lines[end:]]
    return Split(new_text, "\n".join(quoted).strip())


def _end_of_new(lines: list[str], end: int) -> int:
    """Where the rest is quoted: at the first separator, or at a quoted block that only a signature follows."""
    said = False
    for place, line in enumerate(lines[:end]):
        if said and (_separates(line) or _is_header_block(lines, place) or _introduces_rest(lines, place)):
            end = place
            break
        said = said or bool(line.strip())
    end = _before_blank(lines, end)
    if end and end < len(lines) and lines[end - 1].strip("_- \t") == "":
        end = _before_blank(lines, end - 1)
    return _before_attribution(lines, _before_quoted(lines, end))


def _separates(line: str) -> bool:
    """Whether a line parts a reply from the rest. A quoted one does not: an answer may stand below it."""
    return not _is_quoted(line) and (REPLY_MARKER in line or _SEPARATOR.fullmatch(line[:200]) is not None)


def _introduces_rest(lines: list[str], place: int) -> bool:
    """Whether an attribution stands here, before a quote that its program did not mark line by line."""
    stop = _end_of_attribution(lines, place)
    if not stop or _is_quoted(_next_line(lines, stop)):
        return False
    said = " ".join(lines[place:stop])[:1000]
    return _ATTRIBUTION_START.match(said.lstrip()) is not None or "@" in said


def _before_blank(lines: list[str], end: int) -> int:
    while end and not lines[end - 1].strip():
        end -= 1
    return end


def _before_quoted(lines: list[str], end: int) -> int:
    """The end without a block of quoted lines."""
    while end and (_is_quoted(lines[end - 1]) or not lines[end - 1].strip()):
        end -= 1
    return end


def _before_attribution(lines: list[str], end: int) -> int:
    """The end without the lines that introduce a quote."""
    end = _before_blank(lines, end)
    for back in range(1, _ATTRIBUTION_LINES + 1):
        if end - back >= 0 and _end_of_attribution(lines, end - back) == end:
            return _before_blank(lines, end - back)
    return end


def _start_of_new(lines: list[str], end: int) -> int:
    """Where a reply below its quote begins: after an attribution and the block that stands first."""
    start = _after_blank(lines, 0, end)
    start = _after_blank(lines, _end_of_attribution(lines, start) or start, end)
    if start >= end or not _is_quoted(lines[start]):
        return 0
    stop = start
    while stop < end and (_is_quoted(lines[stop]) or not lines[stop].strip()):
        stop += 1
    return 0 if any(_is_quoted(line) for line in lines[stop:end]) else stop  # between quotes, the quotes are context


def _after_blank(lines: list[str], start: int, end: int) -> int:
    while start < end and not lines[start].strip():
        start += 1
    return start


def _is_quoted(line: str) -> bool:
    return line.lstrip(" ").startswith(">")


def _next_line(lines: list[str], start: int) -> str:
    return next((line for line in lines[start : start + 5] if line.strip()), "")


def _end_of_attribution(lines: list[str], place: int) -> int:
    """The line after an attribution that begins here; 0 where none does.

    It tells a date or an address and ends by "wrote:", so a sentence that begins by "On" is none.
    """
    if place >= len(lines) or not lines[place].strip() or _is_quoted(lines[place]):
        return 0
    begins = _ATTRIBUTION_START.match(lines[place].lstrip()) is not None
    for stop in range(place + 1, min(place + _ATTRIBUTION_LINES, len(lines)) + 1):
        line = lines[stop - 1]
        if not line.strip():
            return 0
        if line.rstrip().endswith((":", "：")) and _ATTRIBUTION_END.search(line[-300:]):
            told = _DATE_OR_ADDRESS.search(" ".join(lines[place:stop])[:1000])
            return stop if told and not _PERSON_WROTE.search(line[-50:]) else 0
        if not begins:
            return 0
    return 0


def _is_header_block(lines: list[str], place: int) -> bool:
    """The header that Outlook writes above what it quotes: a sender and two labels more in the next lines."""
    if not _FIRST_LABEL.match(lines[place]):
        return False
    found = {match["label"].lower() for line in lines[place : place + 8] if (match := _LABEL.match(line))}
    return len(found) >= _LABELS_NEEDED


def _without_signature(lines: list[str]) -> list[str]:
    """The lines without a signature at their end."""
    end = _before_blank(lines, len(lines))
    for place in range(max(end - _SIGNATURE_LINES, 1), end):
        if lines[place].rstrip("\r") in ("-- ", "--"):
            end = _before_blank(lines, place)
            break
    if end > 1 and _SENT_FROM.fullmatch(lines[end - 1].strip()):
        end = _before_blank(lines, end - 1)
    return lines[:end]
