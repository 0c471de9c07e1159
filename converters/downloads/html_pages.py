"""What an HTML page says that a server sent in place of a file."""

import dataclasses
import html.parser
import urllib.parse
from typing import Self

_LONGEST = 300  # characters of a page that an error message quotes


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
        parser.feed(text)
        parser.close()
        title, refusal = (" ".join("".join(parts).split())[:_LONGEST] for parts in (parser.title, parser.refusal))
        onward = parser.form_url() or parser.link
        return cls(url, title, onward and urllib.parse.urljoin(url, onward), refusal)


class _Parser(html.parser.HTMLParser):
    # Google Drive asks before it hands out a file too large for its virus scanner. Since 2024 the question is a form,
    # <form id="download-form"> with hidden inputs. Before, it was a link <a id="uc-download-link"> to
    # "/uc?...&confirm=CODE" with a cookie. A refusal stands in elements of class "uc-error-caption" and
    # "uc-error-subcaption", in the reader's language.

    def __init__(self) -> None:
        super().__init__()
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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
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

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._in_form = False
        if tag == self._sink_tag:
            self._sink = self._sink_tag = None

    def handle_data(self, data: str) -> None:
        if self._sink is not None:
            self._sink.append(data)
