"""What must happen before any test module imports tensorflow."""

import contextlib
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

with contextlib.suppress(ImportError):
    import torch  # noqa: F401  (behind tensorflow its import can crash)
