"""Element types by name, the names that NumPy and PyTorch share."""

import numpy as np

from converters.errors import ConversionError

_NUMPY = {
    *("bool", "float16", "float32", "float64", "complex64", "complex128"),
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
}
# NumPy has no such types itself: ml_dtypes registers them, imported only for a file that has one.
_ML_DTYPES = {"bfloat16", *(f"float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"))}


def named(name: str) -> np.dtype:
    """The NumPy dtype called `name`. Raises: ConversionError when there is none."""
    if name in _NUMPY:
        return np.dtype(name)
    if name in _ML_DTYPES:
        try:
            import ml_dtypes

            return np.dtype(getattr(ml_dtypes, name))
        except (ImportError, AttributeError):
            raise ConversionError(
                f"holds {name} tensors, which need a newer ml_dtypes package: pip install -U ml_dtypes"
            ) from None
    raise ConversionError(
        f"element type {name} cannot be read. Expected one of {', '.join(sorted(_NUMPY | _ML_DTYPES))}. "
        "Convert the tensor to float32 and save the file again."
    )
