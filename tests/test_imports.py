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

PACKAGES = ("tfseg", "converters", "tfseg_cli")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

# A module imports from its own floor and from those below. The longest name that fits counts.
FLOORS = {
    name: floor
    for floor, names in enumerate(
        (
            "tfseg.backbone_specs tfseg.palettes tfseg.specs",
            "tfseg.types tfseg.outputs tfseg.layers tfseg.initializers",
            "tfseg.nets tfseg.graphs tfseg.surgery",
            "tfseg.rewrites",
            "tfseg",
            "converters.errors converters.types converters.memory converters.storing_keras",
            "converters.reading converters.names converters.writing converters.downloads",
            "converters.families",
            "converters.identification",
            "converters.programs",
            "converters.weights",
            "converters.proof",
            "converters",
            "tfseg_cli tfseg.__main__ converters.__main__",
        )
    )
    for name in names.split()
}
# Where a module imports from above, inside a function: the doors of the house.
DOORS = {("tfseg.loading", "converters")}

NUMERIC = {"keras", "numpy"}
EVERYTHING_BUT_TORCH = NUMERIC | {
    "PIL",
    "absl",
    "h5py",
    "matplotlib",
    "pillow_heif",
    "pycocotools",
    "rasterio",
    "ray",
    "rich",
    "scipy",
    "tensorflow",
}
# What runs exported artifacts.
RUNTIMES = {"ai_edge_litert", "onnx", "onnxruntime", "openvino", "safetensors", "tf2onnx"}
# The web server, and how a SavedModel's description is read.
SERVING = {"aiohttp", "google", "orjson", "prometheus_client"}
# Implementations to compare with.
PUBLIC = {"mit_semseg", "segmentation_models_pytorch", "timm", "torch", "torchfcn", "torchvision", "transformers"}
# The first floor on which each set of libraries may be imported; the sets grow from floor to floor.
LIBRARIES = {
    "tfseg.specs": set(),
    "tfseg.layers": NUMERIC,
    "tfseg.rewrites": NUMERIC | {"tensorflow"},  # whose XLA one rewrite asks for
    "tfseg": EVERYTHING_BUT_TORCH | RUNTIMES | SERVING,
    "converters.errors": EVERYTHING_BUT_TORCH
    | PUBLIC
    | {"google_crc32c", "huggingface_hub", "ml_dtypes"}
    | {"cv2", "onnx", "onnxruntime"},  # to compare with
    "tfseg_cli": EVERYTHING_BUT_TORCH | SERVING,
}

# Where a backend of Keras is called by its own name: only where it is the backend.
BACKENDS = {
    "tfseg.prediction.compiled": {"jax", "torch"},
    "tfseg.training.devices": {"jax"},
    "tfseg.training.step_jax": {"jax"},
    "tfseg.training.step_torch": {"torch"},
}


class Import(NamedTuple):
    name: str
    inside: bool  # a function, or a block for type checkers: importing the module does not import this


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
            types_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from imports(list(ast.iter_child_nodes(node)), inside or function or types_only)


IMPORTS = {module: list(imports(path.read_text())) for module, path in MODULES.items()}


def floor(module):
    return FLOORS[max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)]


def libraries(module):
    """What a module may import from others: the set of the highest floor in `LIBRARIES` that is not above it."""
    of_floor = LIBRARIES[max((name for name in LIBRARIES if floor(name) <= floor(module)), key=floor)]
    return of_floor | BACKENDS.get(module, set())


def is_door(module, imported):
    return (module, imported.name) in DOORS and imported.inside


def test_imports_are_found_wherever_they_stand():
    source = """
import keras.ops, os
from tfseg import specs, predict
if TYPE_CHECKING:
    import numpy
class A:
    def f(self):
        if True:
            import torch
"""
    expected = [
        ("keras.ops", False),
        ("os", False),
        ("tfseg.specs", False),
        ("tfseg", False),
        ("numpy", True),
        ("torch", True),
    ]
    assert list(imports(source)) == expected
    assert [floor(name) for name in ("tfseg.nets.vgg", "tfseg.nets", "tfseg.networks")] == [floor("tfseg.nets")] * 2 + [
        floor("tfseg")
    ]


def offenders(offends):
    """`{module: [import]}` of the imports for which `offends(module, import)` holds."""
    offending = {
        module: [imported.name for imported in IMPORTS[module] if offends(module, imported)] for module in MODULES
    }
    return {module: names for module, names in offending.items() if names}


def root(imported):
    return imported.name.partition(".")[0]


def test_nothing_is_imported_from_a_higher_floor():
    def offends(module, imported):
        return imported.name in MODULES and floor(imported.name) > floor(module) and not is_door(module, imported)

    assert offenders(offends) == {}
    for module, _ in DOORS:  # a door that is closed comes off the list
        assert any(is_door(module, entry) for entry in IMPORTS[module])


def cycles(graph):
    """The sets of modules that import each other, directly or in a circle."""

    def reachable(start):
        seen, left = set(), [start]
        while left:
            for name in graph[left.pop()] - seen:
                seen.add(name)
                left.append(name)
        return seen

    reached = {module: reachable(module) for module in graph}
    circles = {frozenset(name for name in reached[module] if module in reached[name]) for module in graph}
    return {circle for circle in circles if circle}


def test_no_modules_import_each_other():
    """Imports inside functions count, too: they are needed for doors and for slow libraries, not for circles."""
    graph = {
        module: {entry.name for entry in entries if entry.name in MODULES and not is_door(module, entry)} - {module}
        for module, entries in IMPORTS.items()
    }
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {frozenset("abc")}
    assert cycles(graph) == set()


def test_commands_start_on_absl_and_the_standard_library():
    """So that every `--help` is instant."""
    light = sys.stdlib_module_names | {"absl", "tfseg_cli"}

    def offends(module, imported):
        return module.startswith("tfseg_cli") and not imported.inside and root(imported) not in light

    assert offenders(offends) == {}


def test_no_test_imports_another():
    tests = list((ROOT / "tests").rglob("*.py"))
    names = {path.stem for path in tests if path.stem.startswith("test_")}
    for path in tests:
        imported = {part for entry in imports(path.read_text()) for part in entry.name.split(".")}
        assert not imported & names, path


def test_each_floor_has_its_libraries():
    known = sys.stdlib_module_names | set(PACKAGES)
    assert offenders(lambda module, imported: root(imported) not in known | libraries(module)) == {}


def test_what_few_need_is_imported_in_functions():
    """At the head of a module it would be asked of everyone."""
    rare = PUBLIC | RUNTIMES | {"jax", "matplotlib", "pillow_heif", "ray", "rich"}
    assert offenders(lambda module, imported: root(imported) in rare and not imported.inside) == {}


def test_only_the_server_is_built_on_its_framework():
    def offends(module, imported):
        return root(imported) in SERVING and not imported.inside and not module.startswith("tfseg.serving.")

    assert offenders(offends) == {}


def test_keras_is_keras_and_not_a_part_of_tensorflow():
    assert offenders(lambda module, imported: imported.name.startswith("tensorflow.keras")) == {}
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
    names = "{name.partition('.')[0] for name, module in list(sys.modules.items()) if module}"  # None: it is kept out
    script = "import sys\n" + "".join(f"{statement}\nprint(*{names})\n" for statement in statements)
    lines = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    ).stdout.splitlines()
    start, *later = [set(line.split()) - sys.stdlib_module_names for line in lines]
    return [loaded - start for loaded in later]


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
