"""The records of the built-in families are complete, and what they enumerate is what is built."""

import pytest

import tfseg
from converters.families import FAMILIES, check_family, variables
from tfseg import specs

WIDTH = 1 / 8
BUILT = {  # one of each kind of trunk -> what `tfseg.build` needs beyond the width, what the records enumerate
    "vgg13_bn": ({}, lambda width: variables.vgg(width, depth=13, batch_norm=True)),
    "resnet34": ({}, lambda width: variables.resnet(width, spec=specs.RESNETS["resnet34"])),
    "resnext50_32x4d": ({}, lambda width: variables.resnet(width, spec=specs.RESNETS["resnext50_32x4d"])),
    "seresnet18": ({}, lambda width: variables.resnet(width, spec=specs.RESNETS["seresnet18"])),
    "resnest14d": ({}, lambda width: variables.resnet(width, spec=specs.RESNETS["resnest14d"])),
    "drn_c_26": ({}, lambda width: variables.drn(width, spec=specs.DRNS["drn_c_26"])),
    "drn_d_22": ({}, lambda width: variables.drn(width, spec=specs.DRNS["drn_d_22"])),
    "fcn8s": ({"num_classes": 3}, lambda width: variables.fcn(width, name="fcn8s")),
    "fcn8s_atonce": (
        {"num_classes": 3, "channel_scales": True},
        lambda width: variables.fcn(width, name="fcn8s_atonce", channel_scales=True),
    ),
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_record_is_complete(family):
    check_family(family)
    assert family.source.startswith("https://github.com/")
    assert family.license
    assert family.covers
    assert family.proof
    assert {network.name for network in family.networks} <= set(tfseg.list_models())


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", BUILT)
def test_enumerated_variables_are_those_of_the_built_network(name):
    options, enumerate_variables = BUILT[name]
    built = {variable.path: tuple(variable.shape) for variable in tfseg.build(name, width=WIDTH, **options).weights}
    for path, shape in enumerate_variables(WIDTH).items():
        assert all(size in (variables.ANY, other) for size, other in zip(shape, built[path], strict=True)), path
    enumerated = enumerate_variables(WIDTH)
    trunk = {path for path in built if path.startswith(("conv", "level")) and path.endswith("/kernel")}
    assert trunk <= set(enumerated)
