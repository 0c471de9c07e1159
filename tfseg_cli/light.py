"""Makes the tables of the library importable without Keras, which `import tfseg` loads."""

import importlib.util
import sys


def use_tables_only() -> None:
    """Lets `tfseg.specs` and what needs no more of tfseg be imported alone, for the rest of this process.

    The package itself is there with its modules, but none of its public names: its `__init__` does not run.
    """
    spec = importlib.util.find_spec("tfseg") if "tfseg" not in sys.modules else None
    if spec:
        sys.modules["tfseg"] = importlib.util.module_from_spec(spec)
