"""What `import tfseg` makes available: registered classes at once, the larger packages on first use."""

import re
import subprocess
import sys

import pytest
from helpers.paths import ROOT

import tfseg

SCRIPT = """
import sys
import keras, tfseg

LARGE = ("data", "evaluation", "serving", "training")
assert not [name for name in LARGE if f"tfseg.{name}" in sys.modules]
for name in sys.argv[1:]:
    assert keras.saving.get_registered_object(f"tfseg>{name}") is not None, name
assert set(LARGE) <= set(dir(tfseg))
for name in LARGE:
    assert getattr(tfseg, name) is sys.modules[f"tfseg.{name}"]
"""


@pytest.mark.full
def test_large_packages_are_imported_on_first_use_and_classes_are_registered_at_once():
    files = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tfseg").rglob("*.py"))
    names = re.findall(r'register_keras_serializable\("tfseg"\)\nclass (\w+)', files)
    assert {"ResizeLike", "BilinearInitializer", "CrossEntropy", "ConfusionMatrix", "AdamW", "Poly"} <= set(names)
    subprocess.run([sys.executable, "-c", SCRIPT, *names], check=True, timeout=120)


def test_an_unknown_attribute_is_refused():
    with pytest.raises(AttributeError, match="module 'tfseg' has no attribute 'nothing'"):
        _ = tfseg.nothing
