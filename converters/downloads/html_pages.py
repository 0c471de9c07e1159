"""What an HTML page says that a server sent where a file was expected."""

import dataclasses
import html.parser
import urllib.parse

_LONGEST = 300  # characters of a page that an error message quotes


@dataclasses.dataclass
class Page:
    """One page.

    Args:
        url: where it came from.
        title: its `<title>`, in one line.
        onward: the address behind Google Drive's "Download anyway", or `None` on any other page.
        refusal: the reason that Google Drive gives for not handing out a file, or "".
    """

    url: str
    title: str
    onward: str | None
    refusal: str

    @classmethod
    def parse(cls, text, url):
        parser = _Parser()
        parser.feed(text)
        parser.close()
        title, refusal = (" ".join("".join(parts).split())[:_LONGEST] for parts in (parser.title, parser.refusal))
        onward = parser.form_url() or parser.link
        return cls(url, title, onward and urllib.parse.urljoin(url, onward), refusal)


class _Parser(html.parser.HTMLParser):
    # Google Drive asks before it hands out a file too large for its virus scanner. Since 2024 the question is a form,
    # <form id="download-form"> with hidden inputs; before, it was a link <a id="uc-download-link"> to
    # "/uc?...&confirm=CODE" beside a cookie. A refusal stands in elements of class "uc-error-caption" and
    # "uc-error-subcaption", in the reader's language.

    def __init__(self):
        super().__init__()
        self.title, self.refusal = [], []
        self.link = self._action = None
        self._fields = []
        self._in_form = False
        self._sink, self._sink_tag = None, None

    def form_url(self):
        return self._action and f"{self._action}?{urllib.parse.urlencode(self._fields)}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self._in_form = attrs.get("id") == "download-form"
            if self._in_form:
                self._action = attrs.get("action")
        elif tag == "input" and self._in_form and attrs.get("type") == "hidden" and attrs.get("name"):
            self._fields.append((attrs["name"], attrs.get("value") or ""))
        elif tag == "a" and attrs.get("id") == "uc-download-link":
            self.link = attrs.get("href")
        elif tag == "title":
            self._sink, self._sink_tag = self.title, tag
        elif (attrs.get("class") or "").startswith("uc-error-"):
            self._sink, self._sink_tag = self.refusal, tag
            self.refusal.append(" ")

    def handle_endtag(self, tag):
        if tag == "form":
            self._in_form = False
        if tag == self._sink_tag:
            self._sink = self._sink_tag = None

    def handle_data(self, data):
        if self._sink is not None:
            self._sink.append(data)
