"""What an HTML page says that a server sent in place of a file, in time linear in its beginning.

Python's own parser takes minutes for 64 KB of a page that was made for it. Here every mark is looked at once, and a tag
has a longest length.
"""

import dataclasses
import html
import re
import urllib.parse
from collections.abc import Iterator
from typing import Self

LOOKED_AT = 1 << 16
"""Characters of a page that are looked at."""

_LONGEST = 300  # characters of a page that an error message quotes
_TAG_LENGTH = 4096
_MOST_TAGS = 4000
# A tag: the slash of an end, the name, the attributes. The groups give nothing back, so that a failure ends at once.
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?>[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = re.compile(r"""([^\s=/"'>]++)(?:\s*+=\s*+(?>"([^"]*+)"|'([^']*+)'|([^\s"'>]++)))?+""")
_RAW = ("script", "style")  # elements whose content is no text


@dataclasses.dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        url: where it came from.
        title: its `<title>`, in one line.
        onward: the address that Google Drive's "Download anyway" leads to, or `None` on any other page.
        refusal: the reason that Google Drive gives for not handing out a file, or "".
    """

    url: str
    title: str
    onward: str | None
    refusal: str

    @classmethod
    def parse(cls, text: str, url: str) -> Self:
        """The page with this text, from this address."""
        parser = _Parser()
        parser.feed(text[:LOOKED_AT])
        title, refusal = (" ".join("".join(parts).split())[:_LONGEST] for parts in (parser.title, parser.refusal))
        onward = parser.form_url() or parser.link
        return cls(url, title, onward and urllib.parse.urljoin(url, onward), refusal)


def _tags(text: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """The text before each tag, and the tag; at the end, the rest of the text and None."""
    place = begin = 0
    for _ in range(_MOST_TAGS):
        place = text.find("<", place)
        if place < 0:
            break
        if text.startswith("<!--", place):
            end = text.find("-->", place)
            if end < 0:
                break
            yield text[begin:place], None
            place = begin = end + 3
            continue
        tag = _TAG.match(text, place, place + _TAG_LENGTH)
        if tag is None:
            place += 1
            continue
        yield text[begin:place], tag
        place = begin = tag.end()
        if tag[2].lower() in _RAW and not tag[1]:
            end = text.find(f"</{tag[2]}", place)
            place = begin = end if end >= 0 else len(text)
    yield text[begin:], None


class _Parser:
    # Google Drive asks before it hands out a file too large for its virus scanner. Since 2024 the question is a form,
    # <form id="download-form"> with hidden inputs. Before, it was a link <a id="uc-download-link"> to
    # "/uc?...&confirm=CODE" with a cookie. A refusal stands in elements of class "uc-error-caption" and
    # "uc-error-subcaption", in the reader's language.

    def __init__(self) -> None:
        self.title: list[str] = []
        self.refusal: list[str] = []
        self.link: str | None = None
        self._action: str | None = None
        self._fields: list[tuple[str, str]] = []
        self._in_form = False
        self._sink: list[str] | None = None
        self._sink_tag: str | None = None

    def form_url(self) -> str | None:
        return self._action and f"{self._action}?{urllib.parse.urlencode(self._fields)}"

    def feed(self, text: str) -> None:
        """Reads a page."""
        for before, tag in _tags(text):
            if before and self._sink is not None:
                self._sink.append(html.unescape(before))
            if tag is None:
                continue
            name = tag[2].lower()
            if tag[1]:
                self._end(name)
            else:
                given = _ATTRIBUTE.finditer(tag[3])
                self._start(
                    name, {pair[1].lower(): html.unescape(pair[2] or pair[3] or pair[4] or "") for pair in given}
                )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "form":
            self._in_form = attributes.get("id") == "download-form"
            if self._in_form:
                self._action = attributes.get("action")
        elif (
            tag == "input" and self._in_form and attributes.get("type") == "hidden" and (name := attributes.get("name"))
        ):
            self._fields.append((name, attributes.get("value") or ""))
        elif tag == "a" and attributes.get("id") == "uc-download-link":
            self.link = attributes.get("href")
        elif tag == "title":
            self._sink, self._sink_tag = self.title, tag
        elif (attributes.get("class") or "").startswith("uc-error-"):
            self._sink, self._sink_tag = self.refusal, tag
            self.refusal.append(" ")

    def _end(self, tag: str) -> None:
        if tag == "form":
            self._in_form = False
        if tag == self._sink_tag:
            self._sink = self._sink_tag = None
