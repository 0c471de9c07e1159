"""Families of a user's own: the worked example of CONTRIBUTING.md runs, and unusable records are refused."""

import dataclasses
import re

import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.torchvision_cpu import import_torchvision

import converters
from converters import ConversionError
from converters.families import FAMILIES

RESNET = FAMILIES["torchvision/resnet"]


@pytest.fixture(autouse=True)
def _registry():
    """Leaves the registry as it was."""
    before = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(before)


def worked_example():
    """The names that the Python blocks of the section "Add a family" define."""
    section = re.search(r"(?ms)^## Add a family\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))[1]
    names = {}
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", section):
        exec(block, names)
    return names


def weightless(network="resnet18", **changes):
    """Arrays of a narrow ResNet-18 under torchvision's names, without memory of their own."""
    import tfseg

    model = tfseg.build(network, include_top=True, num_classes=7, width=1 / 16)
    table = RESNET.network(network).table
    arrays = {}
    for variable in model.weights:
        key, rule = table.backward(variable.path)
        shape = rule.layout(len(variable.shape)).inverse().target_shape(tuple(variable.shape))
        arrays[key] = np.broadcast_to(np.float32(0.5), shape)
    return arrays | changes


def test_worked_example_runs(tmp_path):
    import_torchvision()
    names = worked_example()
    tests = {name: value for name, value in names.items() if name.startswith("test_")}
    assert len(tests) == 2
    tests["test_every_layer_is_equal"]()
    tests["test_export_is_bit_identical"](tmp_path)


def test_worked_example_needs_no_registration():
    import_torchvision()
    names = worked_example()
    family = FAMILIES.pop("acme/roads")
    module = names["public"]("Segmenter", num_classes=7, output_stride=32, aux=False)
    assert converters.identify(module, family=family).network == "fcn_resnet18"
    model, receipt = converters.convert(module, family=family)
    assert (receipt.family, model.output_shape[-1]) == ("acme/roads", 7)
    with pytest.raises(ConversionError, match=r"of no family known here"):
        converters.identify(module)


def test_registered_family_comes_after_the_built_in_ones():
    family = dataclasses.replace(RESNET, name="me/resnet", distinct="it has other preprocessing", preprocessing="caffe")
    assert converters.register(family) is family
    assert list(FAMILIES)[-1] == "me/resnet"
    identified = converters.identify(weightless())
    assert identified.family == "torchvision/resnet"
    assert "me/resnet resnet18: it has other preprocessing" in identified.others
    assert converters.identify(weightless(), family="me/resnet").family == "me/resnet"


def test_registered_name_is_replaced_only_with_overwrite():
    changed = dataclasses.replace(RESNET, preprocessing="caffe")
    with pytest.raises(ConversionError, match=r"or pass overwrite=True. Received: name='torchvision/resnet'"):
        converters.register(changed)
    assert FAMILIES["torchvision/resnet"] is RESNET
    order = list(FAMILIES)
    converters.register(changed, overwrite=True)
    assert FAMILIES["torchvision/resnet"] is changed
    assert list(FAMILIES) == order


@pytest.mark.quick_variants(5)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing": "mine"}, r"preprocessing is one of torch, .*, not 'mine'"),
        ({"datasets": ("mine",)}, r"datasets are among .*, not mine"),
        ({"conventions": ("old",)}, r"conventions are among previous, new, one, not old"),
        ({"networks": ()}, r"networks holds at least one FamilyNetwork"),
        ({"networks": ("resnet18",)}, r"networks holds FamilyNetworks, not 'resnet18'"),
        (
            {"networks": (dataclasses.replace(RESNET.networks[0], name="resnet19"),)},
            r"a network has a name of tfseg.list_models\(\), not 'resnet19'",
        ),
        ({"networks": [RESNET.networks[0]]}, r"networks is a tuple whose values are each a FamilyNetwork, not \["),
        ({"license": None}, r"license is a text, not None"),
        ({"formats": "ONNX"}, r"formats is a tuple whose values are each a text, not 'ONNX'"),
        ({"preprocessing": ["torch"]}, r"preprocessing is a text, not \['torch'\]"),
        ({"classes": 5}, r"classes is a text, not 5"),
        ({"head": re.compile("x")}, r"head is a text, not re.compile"),
        ({"heads": {"sem": 3}}, r"heads is a mapping whose values are each a text, not {'sem': 3}"),
        ({"aux": True}, r"aux is a text or None, not True"),
        ({"features": 4}, r"features is a text or None, not 4"),
        ({"options": [("output_stride", 8)]}, r"options is a mapping, not \["),
        ({"dilates": 1}, r"dilates is a bool, not 1"),
        ({"trunk": 32}, r"trunk is a mapping or None, not 32"),
        ({"parts": ("encoder",)}, r"parts is a mapping whose values are each a text, not"),
        ({"datasets": 7}, r"datasets is a tuple whose values are each a text, not 7"),
        ({"conventions": "new"}, r"conventions is a tuple whose values are each a text, not 'new'"),
        ({"distinct": None}, r"distinct is a text, not None"),
        ({"public": "resnet18"}, r"public is a function or None, not 'resnet18'"),
        ({"multiple_of": 1.5}, r"multiple_of is an integer, not 1.5"),
        ({"outputs": 0}, r"outputs is a slice, not 0"),
        ({"preprocessing_otherwise": {"caffe": None}}, r"preprocessing_otherwise is a mapping whose values"),
        ({"covers": 18, "files": b"", "proof": 1e-6}, r"covers is a text, not 18; files is .*; proof is a text"),
        (
            {"networks": (dataclasses.replace(RESNET.networks[0], table=[], dilates=None, variables={}),)},
            r"in the network 'resnet18', table is a Table, not \[\]; .*variables is a function, not {}; .*dilates is",
        ),
        ({"head": "("}, r"head is a regular expression, not '\('"),
        ({"classes": "top.weight"}, r"the table of resnet18 has no row for 'top.weight'"),
    ],
)
def test_unusable_record_is_refused(changes, message):
    family = dataclasses.replace(RESNET, name="me/resnet", **changes)
    with pytest.raises(ConversionError, match=rf"The family me/resnet cannot be used: .*{message}"):
        converters.register(family)
    with pytest.raises(ConversionError, match=message):
        converters.identify(weightless(), family=family)
    assert "me/resnet" not in FAMILIES


def test_only_a_family_is_registered():
    with pytest.raises(ConversionError, match=r"A family is a converters.families.Family. Received: dict"):
        converters.register({"name": "me/resnet"})


def test_family_without_a_name_is_refused():
    with pytest.raises(ConversionError, match=r"name is a text such as 'publisher/kind', not ''"):
        converters.register(dataclasses.replace(RESNET, name=""))


@pytest.mark.parametrize("family", ["me/resnet", ["torchvision/resnet"], object])
def test_unknown_family_is_refused(family):
    with pytest.raises(ConversionError, match=r"The families known here are .*Received: family=.*(resnet|object)"):
        converters.identify(weightless(), family=family)
