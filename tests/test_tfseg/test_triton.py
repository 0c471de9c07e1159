"""PyTorch's packages for CUDA have triton, which crashes Python where it is loaded after TensorFlow."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import {first}
import tfseg
try:
    import triton
except ImportError:
    print("kept out")
else:
    print("loaded", triton.word)
"""


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("first", "printed"), [("keras", "kept out"), ("triton", "loaded here")])
def test_triton_is_loaded_before_tensorflow_or_not_at_all(first, printed, tmp_path):
    (tmp_path / "triton.py").write_text('word = "here"\n')
    command = [sys.executable, "-c", SCRIPT.format(first=first), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.stdout.strip() == printed, ended.stderr
