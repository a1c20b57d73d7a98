"""HTML of a mail to text, in one walk that also tells what is quoted (A43, A45, A48).

Every block stands on its own lines, links keep their address, and what no reader sees is left out. The work is
bounded by the number of nodes, whatever the HTML is made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from kit.text import header_text

HTML_MAX = 512 * 1024
NODES_MAX = 50_000
#: Elements inside one another; what is deeper is read without its structure, for a tree of it would cost its square.
DEPTH_MAX = 2_000
_TAGS_EASY = 4_000

_HIDDEN = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object", "iframe", "-comment"})
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "center", "dd", "div", "dl", "dt", "fieldset", "figure",
        "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
        "section", "table", "tbody", "tr", "ul",
    }
)  # fmt: skip
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol", "blockquote"})
_MARKED = frozenset({"div", "blockquote", "span", "hr", "table", "body"})
_LINKS = ("http://", "https://", "mailto:", "tel:")

_QUOTED_NAMES = re.compile(
    r"(?:^|\s)(?:x_)*(?:gmail_attr|yahoo_quoted|ydp\w*yahoo_quoted|protonmail_quote|moz-cite-prefix|zmail_extra"
    r"|tutanota_quote)(?:\s|$)"
)
_REST_NAMES = re.compile(r"(?:^|\s)(?:x_)*(?:divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION)(?:\s|$)")
_OUTLOOK_LINE = re.compile(
    r"border:\s*none;\s*border-top:\s*solid #\w{6} 1\.0pt;\s*padding:\s*3\.0pt 0(?:in|cm) 0(?:in|cm) 0(?:in|cm)",
    re.IGNORECASE,
)
_NOT_SHOWN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})")
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|title)\b.*?(?:</\1|\Z)|</?[a-zA-Z!?][^<>]*>?", re.DOTALL | re.IGNORECASE
)
#: Elements that never grow deep: they have no content, or another of their kind ends them.
_FLAT = frozenset(
    {
        "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "p",
        "source", "tbody", "td", "th", "tr", "wbr",
    }
)  # fmt: skip
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")


@dataclass(slots=True)
class Page:
    """The text of some HTML, what of it is new, and the content ids of the pictures in each."""

    text: str = ""
    new_text: str = ""
    quoted_text: str = ""
    truncated: bool = False
    cids: set[str] = field(default_factory=set)
    new_cids: set[str] = field(default_factory=set)


def read_html(html: str) -> Page:
    """The readable text of ``html``; nothing that stands in it raises."""
    page = Page(truncated=len(html) > HTML_MAX)
    html = html[:HTML_MAX]
    if html.count("<") > _TAGS_EASY and _is_deep(html):
        page.text = page.new_text = unescape(_MARKUP.sub(" ", html)).strip()
        return page
    root = LexborHTMLParser(html).root
    if root is not None:
        _Walk(page).run(root)
    return page


def _is_deep(html: str) -> bool:
    """Whether more elements than is good are open at once, as far as their tags tell."""
    opened: dict[str, int] = {}
    depth = 0
    for end, name in _TAG.findall(html):
        tag = name.lower()
        if tag in _FLAT:
            continue
        if not end:
            opened[tag] = opened.get(tag, 0) + 1
            depth += 1
        elif opened.get(tag) and tag != "option":  # the parser looks at all of a list again for each one
            opened[tag] -= 1
            depth -= 1
        if depth > DEPTH_MAX:
            return True
    return False


class _Walk:
    """One walk over the tree, without recursion: text goes to everything, and to what is new unless it is quoted."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._all = _Lines()
        self._new = _Lines()
        self._quoted = _Lines()
        self._quoted_by: int | None = None  # depth of the element that is quoted; 0 for the whole rest
        self._links: list[tuple[int, str, int]] = []
        self._pre = 0

    def run(self, root: LexborNode) -> None:
        """Walk at most ``NODES_MAX`` nodes."""
        node, depth = root, 1
        for _ in range(NODES_MAX):
            child = self._enter(node, depth)
            if child is not None:
                node, depth = child, depth + 1
                continue
            while True:
                self._leave(node, depth)
                following = None if depth == 1 else node.next
                if following is not None:
                    node = following
                    break
                parent = node.parent
                if depth == 1 or parent is None:
                    return self._finish()
                node, depth = parent, depth - 1
        self._page.truncated = True
        return self._finish()

    def _finish(self) -> None:
        page = self._page
        page.text, page.new_text, page.quoted_text = self._all.text(), self._new.text(), self._quoted.text()

    def _enter(self, node: LexborNode, depth: int) -> LexborNode | None:
        """Take what a node says; its first child, where that is to be read."""
        tag = node.tag or ""
        if tag == "-text":
            self._say(node.text_content or "")
            return None
        if tag in _HIDDEN or ":" in tag or tag[:1] in "-!":
            return None
        if tag in _MARKED and not self._look_at_marks(node, tag, depth):
            return None
        if tag in _BLOCKS:
            self._break(2 if tag in _PARAGRAPHS else 1)
            if tag == "li":
                self._say("- ")
            self._pre += tag == "pre"
        elif tag in ("td", "th"):
            self._say(" ")
        elif tag == "a":
            self._links.append((depth, (node.attributes.get("href") or "").strip(), self._all.mark()))
        elif tag == "img":
            self._picture(node)
        return node.child

    def _leave(self, node: LexborNode, depth: int) -> None:
        tag = node.tag or ""
        if self._links and self._links[-1][0] == depth:
            self._end_link()
        if tag in _BLOCKS:
            self._break(2 if tag in _PARAGRAPHS else 1)
            self._pre -= tag == "pre" and self._pre > 0
        if self._quoted_by == depth:
            self._quoted_by = None

    def _look_at_marks(self, node: LexborNode, tag: str, depth: int) -> bool:
        """Whether an element is shown. A quote ends with its element, but some clients mark only its beginning."""
        attributes = node.attributes
        if not attributes:
            return True
        style = (attributes.get("style") or "")[:500]
        if _NOT_SHOWN.search(style):
            return False
        if self._quoted_by is not None:
            return True
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
        if _REST_NAMES.search(names) or _OUTLOOK_LINE.search(style):
            self._quoted_by = 0
        elif _QUOTED_NAMES.search(names) or (
            tag == "blockquote" and (attributes.get("type") == "cite" or "gmail_quote" in names)
        ):
            self._quoted_by = depth
        return True

    def _say(self, text: str) -> None:
        if not self._pre:
            text = _SPACES.sub(" ", text)
        self._all.say(text)
        (self._new if self._quoted_by is None else self._quoted).say(text)

    def _break(self, lines: int) -> None:
        self._all.end(lines)
        (self._new if self._quoted_by is None else self._quoted).end(lines)

    def _end_link(self) -> None:
        _, href, mark = self._links.pop()
        said = self._all.since(mark).strip()
        shown = header_text(href.removeprefix("mailto:").removeprefix("tel:"), 2000)
        bare = shown.removeprefix("https://").removeprefix("http://").rstrip("/")
        if href.lower().startswith(_LINKS) and said.rstrip("/") not in (shown.rstrip("/"), bare):
            self._say(f" <{shown}>" if said else f"<{shown}>")

    def _picture(self, node: LexborNode) -> None:
        attributes = node.attributes
        source = (attributes.get("src") or "").strip()
        if source.lower().startswith("cid:"):
            self._page.cids.add(source[4:])
            if self._quoted_by is None:
                self._page.new_cids.add(source[4:])


class _Lines:
    """Text that grows by pieces, with at most one empty line in a row."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._owed = 0  # line ends that come before the next text
        self._blank = True  # whether nothing was said yet
        self._spaced = False  # whether the last piece ended by a space

    def say(self, text: str) -> None:
        """Add to the line; spaces at its beginning are left out."""
        if self._blank or self._owed or self._spaced:
            text = text.lstrip(" ")
        if not text:
            return
        if self._owed and self._pieces:
            self._pieces.append("\n" * self._owed)
        self._owed, self._blank, self._spaced = 0, False, text[-1] == " "
        self._pieces.append(text)

    def end(self, lines: int) -> None:
        """End the line; 2 leaves one empty."""
        self._owed = max(self._owed, lines)

    def mark(self) -> int:
        """Where the text stands now."""
        return len(self._pieces)

    def since(self, mark: int) -> str:
        """The text after a mark, cut: it is compared with a link."""
        return "".join(self._pieces[mark : mark + 20])

    def text(self) -> str:
        """All of it, without spaces at line ends."""
        return "\n".join(line.rstrip() for line in "".join(self._pieces).split("\n")).strip()
