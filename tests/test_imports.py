"""Who imports whom: the floors of the house, read off every import statement, and what an import loads."""

import ast
import subprocess
import sys
import types
from typing import NamedTuple

import pytest
from helpers.paths import ROOT

import converters
import tfseg

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("tfseg", "converters")
    for path in sorted((ROOT / package).rglob("*.py"))
}

# A module imports from its own floor and from those below. The longest name that fits counts.
FLOORS = {
    "tfseg.palettes": 0,
    "tfseg.specs": 0,
    "tfseg.layers": 1,
    "tfseg.initializers": 1,
    "tfseg.nets": 2,
    "tfseg.surgery": 2,
    "tfseg.rewrites": 3,
    "tfseg": 4,
    "converters": 5,
    "tfseg_cli": 6,
    "converters.__main__": 6,
}
NUMERIC = {"keras", "numpy"}
EVERYTHING_BUT_TORCH = NUMERIC | {"PIL", "absl", "h5py", "matplotlib", "pycocotools", "ray", "scipy", "tensorflow"}
# What runs exported artifacts.
RUNTIMES = {"ai_edge_litert", "onnx", "onnxruntime", "openvino", "safetensors"}
# The web server, and how a SavedModel's description is read.
SERVING = {"aiohttp", "google"}
# Implementations to compare with.
PUBLIC = {"mit_semseg", "segmentation_models_pytorch", "timm", "torch", "torchfcn", "torchvision", "transformers"}
LIBRARIES = {
    0: set(),
    1: NUMERIC,
    2: NUMERIC,
    3: NUMERIC | {"tensorflow"},  # whose XLA one rewrite asks for
    4: EVERYTHING_BUT_TORCH | RUNTIMES | SERVING,
    5: EVERYTHING_BUT_TORCH | PUBLIC | {"ml_dtypes"},
    6: EVERYTHING_BUT_TORCH | SERVING,
}


class Import(NamedTuple):
    name: str
    inside: bool  # a function: it happens only if that is called


def imports(source, inside=False):
    """Every import of a module's source, `from package import module` as `package.module`."""
    for node in source if isinstance(source, list) else ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (Import(name if name in MODULES else node.module, inside) for name in names)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(list(ast.iter_child_nodes(node)), inside or function)


IMPORTS = {module: list(imports(path.read_text())) for module, path in MODULES.items()}


def floor(module):
    return FLOORS[max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)]


def test_imports_are_found_wherever_they_stand():
    source = """
import keras.ops, os
from tfseg import specs, predict
class A:
    def f(self):
        if True:
            import torch
"""
    found = [("keras.ops", False), ("os", False), ("tfseg.specs", False), ("tfseg", False), ("torch", True)]
    assert list(imports(source)) == found
    assert [floor(name) for name in ("tfseg.nets.vgg", "tfseg.nets", "tfseg.networks")] == [2, 2, 4]


def offenders(offends):
    """`{module: [import]}` of the imports for which `offends(module, import)` holds."""
    found = {module: [one.name for one in IMPORTS[module] if offends(module, one)] for module in MODULES}
    return {module: names for module, names in found.items() if names}


def root(one):
    return one.name.partition(".")[0]


def test_nothing_is_imported_from_a_higher_floor():
    assert offenders(lambda module, one: one.name in MODULES and floor(one.name) > floor(module)) == {}


def test_each_floor_has_its_libraries():
    ours = sys.stdlib_module_names | {"tfseg", "converters"}
    assert offenders(lambda module, one: root(one) not in ours | LIBRARIES[floor(module)]) == {}


def test_what_few_need_is_imported_in_functions():
    """At the head of a module it would be asked of everyone."""
    rare = PUBLIC | RUNTIMES | {"matplotlib", "ray"}
    assert offenders(lambda module, one: root(one) in rare and not one.inside) == {}


def test_only_the_server_is_built_on_its_framework():
    def offends(module, one):
        return root(one) in SERVING and not one.inside and not module.startswith("tfseg.serving.")

    assert offenders(offends) == {}


def test_keras_is_keras_and_not_a_part_of_tensorflow():
    assert offenders(lambda module, one: one.name.startswith("tensorflow.keras")) == {}
    assert [name for name, path in MODULES.items() if "tf.keras" in path.read_text()] == []


@pytest.mark.parametrize("package", [tfseg, converters], ids=["tfseg", "converters"])
def test_no_module_hides_behind_a_function(package):
    """`tfseg.predict` the function and `tfseg/predict.py` cannot both be had."""
    public = {name for name in package.__all__ if not isinstance(getattr(package, name), types.ModuleType)}
    beside = {name.partition(".")[2] for name in MODULES if name.startswith(f"{package.__name__}.")}
    assert len(public) > 5
    assert not public & beside


def loaded_by(*statements):
    """The third-party packages in a fresh process after each statement."""
    script = "import sys\n" + "".join(
        f"{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})\n" for statement in statements
    )
    lines = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    ).stdout.splitlines()
    start, *rest = [set(line.split()) - sys.stdlib_module_names for line in lines]
    return [found - start for found in rest]


def test_tfseg_loads_what_keras_loads():
    with_keras, with_tfseg = loaded_by("", "import keras", "import tfseg")
    assert "keras" in with_keras
    assert "torch" not in with_keras  # matplotlib is: Keras itself imports it where it is installed
    assert with_tfseg - with_keras == {"tfseg"}


def test_converters_loads_nothing_and_reads_without_keras():
    bare, reading = loaded_by("", "import converters", "converters.read, converters.fetch, converters.ConversionError")
    assert bare == {"converters"}
    assert reading & {"keras", "tensorflow", "torch", "tfseg"} == set()
    assert "numpy" in reading


def test_every_public_name_is_there():
    for package in (tfseg, converters):
        assert set(package.__all__) <= set(dir(package))
        assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="module 'converters' has no attribute 'nothing'"):
        converters.nothing  # noqa: B018
