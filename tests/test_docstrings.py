"""Every public function and class has an example in its docstring, and every example does what it shows."""

import doctest
import functools
import importlib
import inspect
import pathlib
import shutil

import keras
import numpy as np
import pytest
from helpers.paths import EXAMPLES, ROOT

import converters
import tfseg

# The packages and modules whose names users import.
PUBLIC = """tfseg tfseg.layers tfseg.losses tfseg.metrics tfseg.optimizers tfseg.data tfseg.training tfseg.evaluation
tfseg.exporting converters""".split()
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("tfseg", "converters")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stem != "__main__"
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_objects():
    """`{name: object}` of the functions and classes that users import, each once."""
    objects = {}
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            value = getattr(module, name)
            home = getattr(value, "__module__", "") or ""
            is_ours = home.partition(".")[0] in ("tfseg", "converters")
            if (inspect.isfunction(value) or inspect.isclass(value)) and is_ours:
                objects.setdefault(f"{home}.{value.__qualname__}", value)
    return objects


@functools.cache
def examples():
    """`{name: doctest}` of every docstring that has an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return {
        test.name: test
        for name in MODULES
        for test in finder.find(importlib.import_module(name), name, extraglobs={})
        if test.examples
    }


def test_every_public_name_has_an_example():
    without = [name for name, value in public_objects().items() if ">>> " not in (inspect.getdoc(value) or "")]
    assert without == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where examples run: a photograph, its classes and a checkpoint."""
    directory = tmp_path_factory.mktemp("examples")
    for name in ("street.png", "street_classes.png"):
        shutil.copy(EXAMPLES / name, directory / name)
    shutil.copy(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth", directory / "street.pth")
    return directory


# Those of many layers, and those of which others do the same: several seconds each.
LONG = """converters.conversion.warm_start.warm_start converters.reports.write_report.write_report
converters.weights.export_weights.export_weights tfseg.data.pipeline.batches tfseg.engines.compile.compile
tfseg.evaluation.draw_pair tfseg.exporting.directory.export tfseg.exporting.directory.summary
tfseg.exporting.keras_file.save_keras tfseg.loading.load tfseg.nets.backbones.densenet.DenseNet
tfseg.nets.backbones.efficientnet.EfficientNet tfseg.nets.backbones.hrnet.HRNet tfseg.nets.backbones.mit.MiT
tfseg.nets.backbones.mobilenet.MobileNetV2 tfseg.nets.backbones.mobilenet.MobileNetV3
tfseg.nets.backbones.xception.Xception tfseg.nets.decoders.fpn.FPN tfseg.nets.decoders.linknet.Linknet
tfseg.nets.decoders.lraspp.LRASPP tfseg.nets.decoders.manet.MAnet tfseg.nets.decoders.pan.PAN
tfseg.nets.decoders.segformer.SegFormer tfseg.nets.decoders.unetplusplus.UnetPlusPlus
tfseg.nets.decoders.upernet.UPerNet tfseg.nets.deeplabv2.DeepLabV2 tfseg.nets.deeplabv3.DeepLabV3Plus
tfseg.nets.drn.DRNSeg tfseg.nets.plain_segnet.PlainSegNet tfseg.nets.plain_unet.PlainUnet tfseg.nets.pspnet.PSPNet
tfseg.prediction.class_maps.class_map tfseg.specs.ResNetSpec tfseg.surgery.adapt_channels.adapt_channels
tfseg.surgery.check_dilation.check_dilation tfseg.surgery.renew_head.renew_head tfseg.surgery.take_weights.take_weights
tfseg.training.configurations.described tfseg.training.loop.train tfseg.training.rates.find_rate""".split()
each_example = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full if name in LONG else ()) for name in sorted(examples())]
)


def test_the_long_examples_are_there():
    assert set(LONG) <= set(examples())


@pytest.mark.quick_variants(every=3)
@each_example
def test_example(name, folder, tmp_path, monkeypatch):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    test = examples()[name]
    test.globs |= {"np": np, "keras": keras, "tfseg": tfseg, "converters": converters, "pathlib": pathlib}
    output = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
