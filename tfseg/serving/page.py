"""The page at `/`, and the one at `/docs`. By their policy, the browser runs nothing but what is in them."""

import base64
import hashlib
import html
import json
import pathlib
import re
from typing import Any

from tfseg import drawing
from tfseg.prediction.probabilities import void_of
from tfseg.serving.exported import ExportedModel
from tfseg.serving.limits import Limits

_FOLDER = pathlib.Path(__file__).parent
_MOST_NAMED = 6  # classes that the summary names

Page = tuple[str, str]
"""A page as HTML, and its Content-Security-Policy."""


def fill(exported: ExportedModel, limits: Limits, *, sample: bool) -> Page:
    """The page of a model.

    Args:
        exported: model that the page shows.
        limits: limits of the server; the page shrinks images that are too large.
        sample: whether the server has a sample picture.
    """
    count = len(exported.classes)
    facts = {
        "name": exported.name,
        "classes": exported.classes,
        "colors": exported.colors,
        "palette": drawing.color_table(exported.colors, 256)[:256].tolist() if count <= 256 else [],
        "void": void_of(count),
        "channels": exported.channels,
        "maxPixels": limits.max_pixels,
        "sample": sample,
    }
    parts = {
        "name": html.escape(exported.name),
        "summary": html.escape(summary(exported)),
        "kind": "a photograph" if exported.channels is None else f"an image of {exported.channels} channels",
        # Within <script>, only "</script" and "<!--" mean something to HTML.
        "facts": json.dumps(facts).replace("<", "\\u003c"),
        "css": _text("page.css"),
        "script": _text("page.js"),
    }
    # In one pass: what one part says must not be taken for the place of another.
    text = re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], _text("page.html"))
    return text, _policy(text)


def summary(exported: ExportedModel) -> str:
    """One sentence that says what the model does.

    Args:
        exported: model of the server.
    """
    taken = "a photograph" if exported.channels is None else f"an image of {exported.channels} channels"
    count = len(exported.classes)
    if exported.classes == [f"class {index}" for index in range(count)]:  # its classes have no names
        return f"Says which of {count} classes every pixel of {taken} has."
    names = exported.classes[:_MOST_NAMED]
    listed = ", ".join(names) + (f" and {count - len(names)} more" if count > len(names) else "")
    return f"Says what every pixel of {taken} shows: {listed}."


def write_reference(document: dict[str, Any]) -> Page:
    """The page that shows an OpenAPI document to people.

    Args:
        document: result of `tfseg.serving.openapi.document`.
    """
    info = document["info"]
    sections = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            sections.append(_operation(path, method, operation))
    body = (
        f"<header><div><h1>{html.escape(info['title'])}: API</h1><p>{html.escape(info['description'])}</p></div>"
        '<nav><a href=".">Page to try it</a> &nbsp; <a href="openapi.json">OpenAPI document</a></nav></header>'
        f"<article>{''.join(sections)}</article>"
    )
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(info["title"])}: API</title><link rel="icon" href="data:,">'
        f"<style>{_text('page.css')}</style></head><body>{body}</body></html>\n"
    )
    return text, _policy(text)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    """A section of the reference: what a path answers, its parameters, and a command that asks it."""
    rows = [
        f"<tr><td><code>{html.escape(row['name'])}</code></td><td>{html.escape(row['description'])}</td></tr>"
        for row in operation.get("parameters", ())
    ]
    rows += [
        f"<tr><td>{html.escape(status)}</td><td>{html.escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    example = operation.get("x-example")
    return (
        f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation['summary'])}</p>"
        + (f"<pre>{html.escape(example)}</pre>" if example else "")
        + f"<table>{''.join(rows)}</table></section>"
    )


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _policy(text: str) -> str:
    """The policy of a page: its own style and script, and requests to its own server."""
    return "; ".join(
        [
            "default-src 'none'",
            *(
                f"{kind}-src {' '.join(_hashes(text, kind)) or chr(39) + 'none' + chr(39)}"
                for kind in ("script", "style")
            ),
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hashes(text: str, kind: str) -> list[str]:
    contents = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in contents)
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
