"""Where the checkout lies, and what stands in it and beside it."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / "tests"
EXAMPLES = ROOT / "examples"
STREET = EXAMPLES / "street.png"
SHARED_DATA = ROOT.parent / "shared" / "data"  # real data that a user's clone has not; tests skip without it
