"""Reads foreign checkpoints, identifies them, and gives Keras models that compute the same function.

    model, receipt = converters.convert("fcn_resnet50_coco-1167a1af.pth")

Importing this package loads neither Keras nor torch: every function comes with its module when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not run `__getattr__`
    from converters.conversion.convert import convert
    from converters.conversion.warm_start import warm_start
    from converters.downloads.fetch import fetch
    from converters.errors import ConversionError
    from converters.families.registry import register
    from converters.identification.identify import identify
    from converters.programs.check_prototxt import check_prototxt
    from converters.proof.compare import compare
    from converters.proof.verify import verify
    from converters.reading import Checkpoint, read
    from converters.reports.write_report import write_report
    from converters.weights.export_weights import export_weights
    from converters.weights.import_weights import import_weights
    from converters.weights.receipts import Receipt

_HOMES = {
    "ConversionError": "errors",
    "Checkpoint": "reading",
    "read": "reading",
    "fetch": "downloads.fetch",
    "register": "families.registry",
    "identify": "identification.identify",
    "convert": "conversion.convert",
    "warm_start": "conversion.warm_start",
    "import_weights": "weights.import_weights",
    "export_weights": "weights.export_weights",
    "check_prototxt": "programs.check_prototxt",
    "compare": "proof.compare",
    "verify": "proof.verify",
    "Receipt": "weights.receipts",
    "write_report": "reports.write_report",
}

__all__ = [
    "Checkpoint",
    "ConversionError",
    "Receipt",
    "check_prototxt",
    "compare",
    "convert",
    "export_weights",
    "fetch",
    "identify",
    "import_weights",
    "read",
    "register",
    "verify",
    "warm_start",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
