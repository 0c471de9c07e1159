"""Running torch in a process in which TensorFlow is loaded."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_triton() -> Iterator[None]:
    """Inside, torch finds no triton where importing it would crash the process.

    triton and TensorFlow both bring an LLVM. If TensorFlow's is loaded first, triton's library ends the process with a
    segmentation fault. torch and torchvision import triton if it is installed, and only need it on a GPU.
    """
    if "triton" in sys.modules or "tensorflow" not in sys.modules:
        yield
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own way to say: not installed
    try:
        yield
    finally:
        sys.modules.pop("triton", None)
