"""The page at `/`: one file, and a policy that lets the browser run nothing but what is in it."""

import base64
import hashlib
import html
import json
import pathlib
import re

_FILE = pathlib.Path(__file__).with_name("page.html")


def fill(exported, limits):
    """(HTML, Content-Security-Policy) of the page for a model."""
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
    # Within <script> nothing but "</script" and "<!--" means anything to HTML.
    data = json.dumps(facts).replace("<", "\\u003c")
    return text.replace("{name}", html.escape(exported.name)).replace("{facts}", data), "; ".join(policy)


def _hash(text, kind):
    (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
