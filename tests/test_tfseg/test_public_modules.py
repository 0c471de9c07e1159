"""What `import tfseg` makes available: registered classes at once, the larger packages on first use."""

import subprocess
import sys

import pytest

import tfseg

SCRIPT = """
import sys
import keras, tfseg

LARGE = ("data", "evaluation", "serving", "training")
assert not [name for name in LARGE if f"tfseg.{name}" in sys.modules]
for name in ("ResizeLike", "BilinearInitializer", "CrossEntropy", "ConfusionMatrix", "SGD", "AdamW"):
    assert keras.saving.get_registered_object(f"tfseg>{name}") is not None, name
assert set(LARGE) <= set(dir(tfseg))
for name in LARGE:
    assert getattr(tfseg, name) is sys.modules[f"tfseg.{name}"]
"""


def test_large_packages_are_imported_on_first_use_and_classes_are_registered_at_once():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)


def test_an_unknown_attribute_is_refused():
    with pytest.raises(AttributeError, match="module 'tfseg' has no attribute 'nothing'"):
        _ = tfseg.nothing
