"""A conversion and its proof as one HTML file, for people who were not there."""

import html
import pathlib

import keras
import numpy as np

from converters.errors import ConversionError
from converters.proof.compare import ModelComparison
from converters.reports import sections
from converters.reports.pictures import show_pictures
from converters.types import Path
from converters.weights.receipts import Receipt
from converters.writing.files import atomic

_STYLE = pathlib.Path(__file__).with_name("report.css")
# The page asks for nothing, and runs nothing: a name in a stranger's file cannot make it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(
    path: Path,
    *,
    receipt: Receipt | None = None,
    comparison: ModelComparison | None = None,
    model: keras.Model | None = None,
    image: np.ndarray | None = None,
    tolerance: float = 1e-5,
    overwrite: bool = False,
) -> None:
    """Writes what was recognized on what evidence, the proof layer by layer, pictures, and every tensor, as HTML.

    The file needs no other file, no network and no script.

    Args:
        path: where the page is written.
        receipt: receipt of `convert`.
        comparison: result of `verify` or `compare`.
        model: model whose mask is shown, with its names and colors of classes.
        image: photograph that was compared, uint8 `(height, width, 3)`, RGB.
        tolerance: largest relative difference of a layer that is accepted.
        overwrite: whether a file at `path` is replaced.
    Raises:
        ConversionError: neither receipt nor comparison is given, or the file exists or cannot be written.

    Example:
        >>> model, receipt = converters.convert("street.pth")
        >>> converters.write_report("report.html", receipt=receipt, model=model, image=tfseg.read_image("street.png"))
        >>> "backbone.conv1.weight" in pathlib.Path("report.html").read_text(encoding="utf-8")
        True
    """
    if receipt is None and comparison is None:
        raise ConversionError("A report shows a receipt, a comparison, or both: pass receipt= or comparison=.")
    title = f"{receipt.source} → {receipt.model}" if receipt is not None else "Comparison of two networks"
    parts: list[tuple[str, str]] = []
    if receipt is not None:
        parts.append(("Recognized", sections.recognized(receipt)))
    parts.append(("Proof", sections.proof(receipt, comparison, tolerance)))
    if pictures := show_pictures(model, comparison, image):
        parts.append(("Picture and masks", pictures))
    if receipt is not None:
        parts.append((f"Every tensor: {len(receipt.tensors)}", sections.tensors(receipt)))
        parts.append(("Files and versions", sections.files(receipt)))
    body = "".join(f"<section><h2>{html.escape(head)}</h2>{content}</section>" for head, content in parts)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{body}</body></html>\n"
    )
    with atomic(path, overwrite=overwrite) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
