"""The page at `/`: one file, and a policy by which the browser runs nothing but what is in it."""

import base64
import hashlib
import html
import json
import pathlib
import re

from tfseg.serving.exported import ExportedModel
from tfseg.serving.limits import Limits

_FILE = pathlib.Path(__file__).with_name("page.html")


def fill(exported: ExportedModel, limits: Limits) -> tuple[str, str]:
    """The page of a model, as HTML, and its Content-Security-Policy.

    Args:
        exported: model that the page shows.
        limits: limits of the server; the page shrinks images that are too large.
    """
    text = _FILE.read_text(encoding="utf-8")
    facts = {
        "name": exported.name,
        "classes": exported.classes,
        "colors": exported.colors,
        "maxPixels": limits.max_pixels,
    }
    policy = [
        "default-src 'none'",
        *(f"{kind}-src '{_hash(text, kind)}'" for kind in ("script", "style")),
        "img-src blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    # Within <script>, only "</script" and "<!--" mean something to HTML.
    facts_json = json.dumps(facts).replace("<", "\\u003c")
    return text.replace("{name}", html.escape(exported.name)).replace("{facts}", facts_json), "; ".join(policy)


def _hash(text: str, kind: str) -> str:
    (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
