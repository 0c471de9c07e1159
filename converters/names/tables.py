"""Name maps as data: which foreign tensor is which Keras variable, one row a module, read in both directions.

A row is `(source module, Keras layer, kind)`, for instance
`("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv")`. A field in braces stands for a number, the same on
both sides up to the offset. `{b:a}` stands for a number that is written as a letter: a for 1. The kind says which
tensors such a module has, and their layouts.
"""

import functools
import itertools
import re
import string
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from converters.names.layouts import Layout, parse
from converters.types import Shape

Row = tuple[str, str, str]
"""Source module, Keras layer, kind: a name of `KINDS`."""

Ignored = tuple[str, str]
"""Regular expression of source keys, and why they are left out."""

_KERAS_NORM = (
    ("/gamma", "gamma", ("c -> c",)),
    ("/beta", "beta", ("c -> c",)),
    ("/moving_mean", "moving_mean", ("c -> c",)),
    ("/moving_variance", "moving_variance", ("c -> c",)),
)
# kind: (tensor of the module, variable of the layer, layouts: the first with the rank of the variable is used)
KINDS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "conv": (("weight", "kernel", ("o i h w -> h w i o",)), ("bias", "bias", ("o -> o",))),
    "depthwise": (("weight", "kernel", ("o 1 h w -> h w o 1",)),),
    "upconv": (("weight", "kernel", ("i o h w -> h w o i",)), ("bias", "bias", ("o -> o",))),
    # One factor for each channel.
    "channel_scale": (("gamma", "kernel", ("c -> 1 1 c 1",)),),
    "dense": (("weight", "kernel", ("o i -> i o", "o i -> 1 1 i o")), ("bias", "bias", ("o -> o",))),
    # One kernel for each channel: torch's `groups` equal its channels.
    "upconv_depthwise": (("weight", "kernel", ("c 1 h w -> h w c",)),),
    # The source's fully connected layer is a 1x1 convolution of a map of one pixel.
    "dense1x1": (("weight", "kernel", ("o i 1 1 -> i o",)), ("bias", "bias", ("o -> o",))),
    # A fully connected layer after the flattened map of a VGG, in most 7x7: channels come first in the source, last in
    # Keras.
    **{
        f"dense{side}x{side}": (
            (
                "weight",
                "kernel",
                (f"o (c h w) -> (h w c) o; h={side} w={side}", f"o (c h w) -> h w c o; h={side} w={side}"),
            ),
            ("bias", "bias", ("o -> o",)),
        )
        for side in range(2, 9)
    },
    "norm": (
        ("weight", "gamma", ("c -> c",)),
        ("bias", "beta", ("c -> c",)),
        ("running_mean", "moving_mean", ("c -> c",)),
        ("running_var", "moving_variance", ("c -> c",)),
    ),
    # Caffe normalizes in two layers: BatchNorm, then Scale.
    "batchnorm": (("mean", "moving_mean", ("c -> c",)), ("variance", "moving_variance", ("c -> c",))),
    "bn": (  # PSPNet's fork of Caffe normalizes in one layer
        ("gamma", "gamma", ("c -> c",)),
        ("beta", "beta", ("c -> c",)),
        ("mean", "moving_mean", ("c -> c",)),
        ("variance", "moving_variance", ("c -> c",)),
    ),
    "scale": (("gamma", "gamma", ("c -> c",)), ("beta", "beta", ("c -> c",))),
    # TensorFlow 1 and kaffe have the layout of Keras.
    "tf_conv": (("/weights", "kernel", ("h w i o -> h w i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_dense": (("/weights", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/biases", "bias", ("o -> o",))),
    # The source's fully connected layer is a 1x1 convolution of a map of one pixel.
    "tf_dense1x1": (("/weights", "kernel", ("1 1 i o -> i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_norm": _KERAS_NORM,
    # The names that kaffe gives to the parts of a BatchNorm.
    "kaffe_norm": (
        ("/scale", "gamma", ("c -> c",)),
        ("/offset", "beta", ("c -> c",)),
        ("/mean", "moving_mean", ("c -> c",)),
        ("/variance", "moving_variance", ("c -> c",)),
    ),
    # A fully connected layer after the flattened 7x7 map of a VGG.
    "tf_dense7x7": (
        ("/weights", "kernel", ("(h w i) o -> (h w i) o; h=7 w=7", "(h w i) o -> h w i o; h=7 w=7")),
        ("/biases", "bias", ("o -> o",)),
    ),
    # Keras itself.
    "keras_conv": (("/kernel", "kernel", ("h w i o -> h w i o",)), ("/bias", "bias", ("o -> o",))),
    "keras_dense": (("/kernel", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/bias", "bias", ("o -> o",))),
    # A fully connected layer after the flattened 7x7 map of a VGG, which has the same order in the source.
    "keras_dense7x7": (
        ("/kernel", "kernel", ("i o -> i o", "(h w c) o -> h w c o; h=7 w=7")),
        ("/bias", "bias", ("o -> o",)),
    ),
    "keras_norm": _KERAS_NORM,
}

_FIELD = re.compile(r"\{(\w+?)(:a)?([+-]\d+)?\}")
_BEFORE_A = ord("a") - 1


class Template(NamedTuple):
    """A name with fields.

    Attributes:
        texts: literal texts, before, between and after the fields.
        fields: `(name, offset, whether it is written as a letter)` of each field.
    """

    texts: tuple[str, ...]
    fields: tuple[tuple[str, int, bool], ...]

    @classmethod
    @functools.cache  # families share most of their names
    def parse(cls, text: str) -> "Template":
        """The template that a text like `"layer{s}.{b}.conv{c}"` means."""
        pieces = _FIELD.split(text)
        parts = zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
        fields = tuple((name, int(offset or 0), bool(letter)) for name, letter, offset in parts)
        return cls(tuple(pieces[::4]), fields)

    def match(self, name: str) -> dict[str, int] | None:
        """The numbers in the fields, or None if the name does not have this form."""
        match = _pattern(self).fullmatch(name) if name.startswith(self.texts[0]) else None
        if match is None:
            return None
        numbers: dict[str, int] = {}
        for (field, offset, letter), text in zip(self.fields, match.groups(), strict=True):
            number = (ord(text) - _BEFORE_A if letter else int(text)) - offset
            if numbers.setdefault(field, number) != number:
                return None
        return numbers if all(number >= 0 for number in numbers.values()) else None

    def fill(self, numbers: Mapping[str, int]) -> str:
        """The name with these numbers in its fields."""
        values = [(numbers[field] + offset, letter) for field, offset, letter in self.fields]
        filled = [chr(_BEFORE_A + value) if letter else str(value) for value, letter in values]
        return "".join(text + number for text, number in zip(self.texts, [*filled, ""], strict=True))


@functools.cache
def _pattern(template: Template) -> re.Pattern[str]:
    fields = [r"([a-z])" if letter else r"(0|[1-9]\d*)" for _, _, letter in template.fields]
    return re.compile(
        "".join(re.escape(text) + field for text, field in zip(template.texts, [*fields, ""], strict=True))
    )


class Rule(NamedTuple):
    """One tensor of a module.

    Attributes:
        source: template of the source key.
        target: template of the variable path.
        layouts: layouts to choose from.
        kind: kind of the row, a name of `KINDS`.
    """

    source: Template
    target: Template
    layouts: tuple[str, ...]
    kind: str

    def layout(self, rank: int) -> Layout:
        """The layout for a variable with `rank` dimensions; the first one if none fits (the shapes then tell why)."""
        parsed = [parse(text) for text in self.layouts]
        return next((layout for layout in parsed if len(layout.target) == rank), parsed[0])


class Table:
    """All rows of one network, and the source tensors that it does not use.

    Args:
        rows: `(source module, Keras layer, kind)` of each module; the first row that fits is used.
        ignored: `(regular expression, why)` of the source keys that are left out.

    Example:
        >>> from converters.families import table
        >>> names = table((("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv"),))
        >>> names.path("layer3.0.conv2.weight")
        'conv4_block1_2_conv/kernel'
        >>> names.shape("layer3.0.conv2.weight", (256, 128, 3, 3))
        (3, 3, 128, 256)
    """

    def __init__(self, rows: tuple[Row, ...], ignored: tuple[Ignored, ...] = ()) -> None:
        self.rows = tuple(rows)
        self.ignored = tuple(ignored)
        self._modules = [(Template.parse(source), Template.parse(target)) for source, target, _ in self.rows]
        self.rules = tuple(
            Rule(Template.parse(_joined(source, tensor)), Template.parse(f"{target}/{variable}"), choices, kind)
            for source, target, kind in self.rows
            for tensor, variable, choices in KINDS[kind]
        )

    @functools.lru_cache(100_000)  # noqa: B019 - tables live as long as the program
    def forward(self, key: str) -> tuple[str, Rule] | None:
        """`(variable path, rule)` for a source key, or None."""
        for rule in self.rules:
            if (numbers := rule.source.match(key)) is not None:
                return rule.target.fill(numbers), rule
        return None

    @functools.lru_cache(100_000)  # noqa: B019
    def backward(self, path: str) -> tuple[str, Rule] | None:
        """`(source key, rule)` for a variable path, or None."""
        for rule in self.rules:
            if (numbers := rule.target.match(path)) is not None:
                return rule.source.fill(numbers), rule
        return None

    def path(self, key: str) -> str | None:
        """The variable path for a source key, or None."""
        row = self.forward(key)
        return row and row[0]

    def key(self, path: str) -> str | None:
        """The source key for a variable path, or None."""
        row = self.backward(path)
        return row and row[0]

    def why_ignored(self, key: str) -> str | None:
        """The reason for leaving a source tensor out, or None."""
        return next((why for pattern, why in self.ignored if re.fullmatch(pattern, key)), None)

    def shape(self, key: str, shape: Shape) -> Shape | None:
        """A source tensor's shape as Keras has it: `(height, width, input, output)`, `(input, output)`, `(units,)`.

        None for a key that belongs to no variable, or for a shape that its kind does not have.
        """
        row = self.forward(key)
        return row and _target_shape(row[1].layouts, tuple(shape))

    def knows(self, key: str) -> bool:
        """Whether a source key has a place here, or is to be left out."""
        return self.forward(key) is not None or self.why_ignored(key) is not None

    def strangers(self, keys: Iterable[str]) -> list[str]:
        """The source keys that the table does not know: for many keys, much faster than `knows` for each.

        Args:
            keys: keys of a source.
        """
        keys = tuple(keys)
        ignored = _ignored_keys(self.ignored, keys)
        forms = self._forms
        return [
            key
            for key, form in zip(keys, _forms_of(keys), strict=True)
            if not (form in forms and self.forward(key)) and key not in ignored
        ]

    @functools.cached_property
    def _forms(self) -> frozenset[str]:
        """The forms of all keys that there can be a rule for."""
        return frozenset(form for rule in self.rules for form in _template_forms(rule.source))

    def module(self, name: str) -> str | None:
        """The Keras layer for a source module's name, or None."""
        for source, target in self._modules:
            if (numbers := source.match(name)) is not None:
                return target.fill(numbers)
        return None


def _form(name: str) -> str:
    """A name with # for every number: few forms stand for the thousands of keys of a large network."""
    return re.sub(r"\d+", "#", name)


@functools.lru_cache(8)  # one source is held against many tables
def _forms_of(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_form, keys))


@functools.lru_cache(64)
def _ignored_keys(ignored: tuple[Ignored, ...], keys: tuple[str, ...]) -> frozenset[str]:
    patterns = [re.compile(pattern) for pattern, _ in ignored]
    return frozenset(key for key in keys if any(pattern.fullmatch(key) for pattern in patterns))


@functools.cache
def _template_forms(template: Template) -> tuple[str, ...]:
    """The forms of all names that a template stands for: one for each letter that a field may be."""
    numbers = "".join("\0" if letter else "0" for _, _, letter in template.fields)
    name = "".join(text + field for text, field in itertools.zip_longest(template.texts, numbers, fillvalue=""))
    first, *others = _form(name).split("\0")
    letters = itertools.product(string.ascii_lowercase, repeat=len(others))
    return tuple(first + "".join(map("".join, zip(choice, others, strict=True))) for choice in letters)


@functools.lru_cache(100_000)
def _target_shape(layouts: tuple[str, ...], shape: Shape) -> Shape | None:
    shapes = (parse(text).target_shape(shape) for text in layouts)
    return next((target for target in shapes if target), None)


def _joined(module: str, tensor: str) -> str:
    """A tensor's key: PyTorch and Caffe put a dot before its last part; a kind whose names begin with / says so."""
    return module + tensor if tensor.startswith("/") else f"{module}.{tensor}"


@functools.cache
def table(rows: tuple[Row, ...], ignored: tuple[Ignored, ...] = ()) -> Table:
    """The table with these rows: one object for all networks that share them.

    Args:
        rows: `(source module, Keras layer, kind)` of each module, as a tuple.
        ignored: `(regular expression, why)` of the source keys that are left out.

    Returns: a `Table`.

    Example:
        >>> from converters.families import table
        >>> table((("head", "logits", "conv"),)).path("head.bias")
        'logits/bias'
    """
    return Table(rows, ignored)
