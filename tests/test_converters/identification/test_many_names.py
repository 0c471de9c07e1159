"""Files of thousands of tensors: the work grows as their number does, however the names are made."""

import sys

import numpy as np
import pytest

import converters
from converters.families import FAMILIES
from converters.names.name_index import NameIndex
from converters.names.tables import Table
from converters.names.templates import Template, form, forms

KERNEL, BIAS, STEM = (np.broadcast_to(np.float32(0), shape) for shape in ((8, 8, 3, 3), (8,), (64, 3, 7, 7)))


def strange(number, name="net.block{0}.odd{1}.weight"):
    """Tensors of names that no family has."""
    return {name.format(index, index % 7): BIAS if index % 3 else KERNEL for index in range(number)}


def nested(number):
    """The same, in modules within modules, of which each begins as a ResNet does."""
    prefixes = ["m." * (index % 30) for index in range(number)]
    names = {f"{prefix}block{index}.odd.weight": KERNEL for index, prefix in enumerate(prefixes)}
    return names | {f"{prefix}conv1.weight": STEM for prefix in prefixes}


def copies(number):
    """Trunks of VGGs side by side, with what may read their features."""
    places = range(8)
    trunks = {f"n{copy}.features.{place}.weight": KERNEL for copy in range(number // 16) for place in places}
    return trunks | strange(number // 2, "odd{0}.conv{1}.weight")


HOSTILE = {
    "unknown": strange,
    "without modules": lambda number: strange(number, "odd{0}"),
    "in a subtree that begins as a ResNet": lambda number: strange(number) | {"net.conv1.weight": STEM},
    "beside the first tensor of a ResNet": lambda number: strange(number) | {"conv1.weight": STEM},
    "known, and far too many": lambda number: (
        {f"layer1.{index}.conv1.weight": KERNEL for index in range(number)} | {"conv1.weight": STEM}
    ),
    "numbered": lambda number: strange(number, "a{0}.0.weight") | strange(number, "a{0}.{1}.odd.weight"),
    "heads": lambda number: strange(number, "fc.{0}.x{1}") | {"conv1.weight": STEM},
    "nested": nested,
    "copies": copies,
}


def calls_of(arrays):
    """How many functions are called to refuse arrays."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with pytest.raises(converters.ConversionError):
            converters.identify(arrays)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.quick_variants(5)
@pytest.mark.parametrize("kind", HOSTILE)
def test_work_grows_as_the_number_of_names(kind):
    make = HOSTILE[kind]
    calls_of(make(100))  # what is made once
    few, many = calls_of(make(200)), calls_of(make(800))
    assert many < 4.5 * few
    assert many < 800 * 2000  # most where each name is one of many networks', or stands beside many subtrees


@pytest.mark.full
@pytest.mark.parametrize("prefix", ["", "m." * 19])
def test_a_hundred_thousand_tensors_are_refused_by_what_they_are(prefix):
    arrays = strange(100_000, prefix + "block{0}.odd{1}.weight")
    with pytest.raises(converters.ConversionError, match=r"none of its tensors has a name known here.* 100000 tensors"):
        converters.identify(arrays)


def test_subtrees_that_were_not_looked_at_are_told():
    """Some of many complete trunks with something strange beside them are looked at; `prefix` finds the others."""
    first = FAMILIES["torchvision/vgg"].network("vgg11")
    keys = [first.table.key(path) for path in first.variables(1.0)]
    shapes = {first.table.key(path): shape for path, shape in first.variables(1.0).items()}
    trunk = {key: np.broadcast_to(np.float32(0), tuple(reversed(shapes[key]))) for key in keys}
    arrays = {f"n{copy}.{key}": array for copy in range(15) for key, array in trunk.items()}
    arrays |= {f"n{copy}.features.0.bias": BIAS for copy in range(15)}
    arrays |= strange(10_000, "odd{0}.conv{1}.weight")
    with pytest.raises(converters.ConversionError, match=r"than were looked at: prefix= \(--prefix\) chooses one"):
        converters.identify(arrays)


@pytest.mark.full
def test_an_index_knows_what_tables_know():
    tables = [network.table for family in FAMILIES.values() for network in family.networks]
    keys = [
        rule.source.fill({field: number + 1 for field, _, _ in rule.source.fields})
        for table in tables
        for rule in table.rules
        for number in (0, 3)
    ]
    keys += [key[:-1] for key in keys] + [f"{key}.num_batches_tracked" for key in keys] + ["", "#", "a.mean_rgb"]
    keys = sorted(set(keys))[::97]
    known = NameIndex(tables).known(keys)
    for table in dict.fromkeys(tables):
        assert known[table] == {key for key in keys if table.forward(key) or table.why_ignored(key)}
        assert all(
            any(rule.source.match(key) is not None for rule in table.rules) == (table.forward(key) is not None)
            for key in keys[::3]
        )


@pytest.mark.parametrize(
    "text", ["a{i}.b{j+1}", "res{i}{b:a}_branch{j}{c:a}", "x{b:a}y", "{i}x{j}_{b:a}{c:a}", "c{i}d"]
)
def test_forms_are_those_of_all_names(text):
    template = Template.parse(text)
    for number in range(1, 27):
        numbers = {"i": 12 * number, "j": number, "b": number, "c": 27 - number}
        name = template.fill({field: numbers[field] for field, _, _ in template.fields})
        assert template.match(name) is not None
        assert form(name) in forms(template)


def test_patterns_with_groups_stay_apart():
    """The group of the second would be another one, were they alternatives of one expression."""
    rows = (("a", "a", "conv"),)
    first, second = Table(rows, ((r"(x|y)\.(z)", "one"),)), Table(rows, ((r"(b)\1", "two"),))
    known = NameIndex([first, second]).known(["bb", "x.z", "bx"])
    assert known == {first: {"x.z"}, second: {"bb"}}


def test_a_number_of_thousands_of_digits_is_no_place():
    arrays = {f"layer1.{'9' * 5000}.conv1.weight": KERNEL, "conv1.weight": STEM}
    with pytest.raises(converters.ConversionError, match="of no family known here"):
        converters.identify(arrays)
