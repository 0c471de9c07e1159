"""Name maps as data: which foreign tensor is which Keras variable, one row a module, read in both directions.

A row is `(source module, Keras layer, kind)`, for instance
`("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv")`. A field in braces stands for a number, the same on
both sides up to the offset; `{b:a}` for one that is written as a letter, a for 1. The kind says which tensors such a
module has, and their layouts.
"""

import functools
import re
from typing import NamedTuple

from converters.names import layouts

_KERAS_NORM = (
    ("/gamma", "gamma", ("c -> c",)),
    ("/beta", "beta", ("c -> c",)),
    ("/moving_mean", "moving_mean", ("c -> c",)),
    ("/moving_variance", "moving_variance", ("c -> c",)),
)
# kind: (tensor of the module, variable of the layer, layouts: the first that has as many dimensions as the variable)
KINDS = {
    "conv": (("weight", "kernel", ("o i h w -> h w i o",)), ("bias", "bias", ("o -> o",))),
    "depthwise": (("weight", "kernel", ("o 1 h w -> h w o 1",)),),
    "upconv": (("weight", "kernel", ("i o h w -> h w o i",)), ("bias", "bias", ("o -> o",))),
    # A factor for each channel by itself.
    "channel_scale": (("gamma", "kernel", ("c -> 1 1 c 1",)),),
    "dense": (("weight", "kernel", ("o i -> i o", "o i -> 1 1 i o")), ("bias", "bias", ("o -> o",))),
    # One kernel a channel: torch's `groups` are its channels.
    "upconv_depthwise": (("weight", "kernel", ("c 1 h w -> h w c",)),),
    # Fully connected there as a 1x1 convolution of a map that is one pixel.
    "dense1x1": (("weight", "kernel", ("o i 1 1 -> i o",)), ("bias", "bias", ("o -> o",))),
    # Fully connected behind the flattened 7x7 map of a VGG, channels first there and last here.
    "dense7x7": (
        ("weight", "kernel", ("o (c h w) -> (h w c) o; h=7 w=7", "o (c h w) -> h w c o; h=7 w=7")),
        ("bias", "bias", ("o -> o",)),
    ),
    "norm": (
        ("weight", "gamma", ("c -> c",)),
        ("bias", "beta", ("c -> c",)),
        ("running_mean", "moving_mean", ("c -> c",)),
        ("running_var", "moving_variance", ("c -> c",)),
    ),
    # Caffe's normalisation is two layers.
    "batchnorm": (("mean", "moving_mean", ("c -> c",)), ("variance", "moving_variance", ("c -> c",))),
    "bn": (  # and one layer in PSPNet's fork
        ("gamma", "gamma", ("c -> c",)),
        ("beta", "beta", ("c -> c",)),
        ("mean", "moving_mean", ("c -> c",)),
        ("variance", "moving_variance", ("c -> c",)),
    ),
    "scale": (("gamma", "gamma", ("c -> c",)), ("beta", "beta", ("c -> c",))),
    # TensorFlow 1's and kaffe's, which lie as Keras's do.
    "tf_conv": (("/weights", "kernel", ("h w i o -> h w i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_dense": (("/weights", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/biases", "bias", ("o -> o",))),
    # Fully connected there as a 1x1 convolution of a map that is one pixel.
    "tf_dense1x1": (("/weights", "kernel", ("1 1 i o -> i o",)), ("/biases", "bias", ("o -> o",))),
    "tf_norm": _KERAS_NORM,
    # What kaffe calls the parts of a normalisation; and fully connected behind the flattened 7x7 map of a VGG.
    "kaffe_norm": (
        ("/scale", "gamma", ("c -> c",)),
        ("/offset", "beta", ("c -> c",)),
        ("/mean", "moving_mean", ("c -> c",)),
        ("/variance", "moving_variance", ("c -> c",)),
    ),
    "tf_dense7x7": (
        ("/weights", "kernel", ("(h w i) o -> (h w i) o; h=7 w=7", "(h w i) o -> h w i o; h=7 w=7")),
        ("/biases", "bias", ("o -> o",)),
    ),
    # Keras's own.
    "keras_conv": (("/kernel", "kernel", ("h w i o -> h w i o",)), ("/bias", "bias", ("o -> o",))),
    "keras_dense": (("/kernel", "kernel", ("i o -> i o", "i o -> 1 1 i o")), ("/bias", "bias", ("o -> o",))),
    # Behind the flattened 7x7 map of a VGG, which is in the same order there.
    "keras_dense7x7": (
        ("/kernel", "kernel", ("i o -> i o", "(h w c) o -> h w c o; h=7 w=7")),
        ("/bias", "bias", ("o -> o",)),
    ),
    "keras_norm": _KERAS_NORM,
}

_FIELD = re.compile(r"\{(\w+?)(:a)?([+-]\d+)?\}")
_BEFORE_A = ord("a") - 1


class Template(NamedTuple):
    """A name with fields: literal texts, and between them `(field, offset, whether a letter)`."""

    texts: tuple
    fields: tuple

    @classmethod
    @functools.cache  # families share most of their names
    def parse(cls, text):
        pieces = _FIELD.split(text)
        parts = zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
        fields = tuple((name, int(offset or 0), bool(letter)) for name, letter, offset in parts)
        return cls(tuple(pieces[::4]), fields)

    def match(self, name):
        """The numbers in the fields, or None if the name is not of this form."""
        found = name.startswith(self.texts[0]) and _pattern(self).fullmatch(name)
        if not found:
            return None
        numbers = {}
        for (field, offset, letter), text in zip(self.fields, found.groups(), strict=True):
            number = (ord(text) - _BEFORE_A if letter else int(text)) - offset
            if numbers.setdefault(field, number) != number:
                return None
        return numbers if all(number >= 0 for number in numbers.values()) else None

    def fill(self, numbers):
        written = {False: str, True: lambda number: chr(_BEFORE_A + number)}
        filled = [written[letter](numbers[field] + offset) for field, offset, letter in self.fields]
        return "".join(text + number for text, number in zip(self.texts, [*filled, ""], strict=True))


@functools.cache
def _pattern(template):
    fields = [r"([a-z])" if letter else r"(0|[1-9]\d*)" for _, _, letter in template.fields]
    return re.compile(
        "".join(re.escape(text) + field for text, field in zip(template.texts, [*fields, ""], strict=True))
    )


class Rule(NamedTuple):
    """One tensor of a module: source key template, variable path template, layouts to choose from, the row's kind."""

    source: Template
    target: Template
    layouts: tuple
    kind: str

    def layout(self, rank):
        """The layout for a variable of so many dimensions; the first one if none fits (the shapes then tell why)."""
        parsed = [layouts.parse(text) for text in self.layouts]
        return next((layout for layout in parsed if len(layout.target) == rank), parsed[0])


class Table:
    """All rows of one network, and the source tensors that it does not use: `(regular expression, why)`."""

    def __init__(self, rows, ignored=()):
        self.rows = tuple(rows)
        self.ignored = tuple(ignored)
        self._modules = [(Template.parse(source), Template.parse(target)) for source, target, _ in self.rows]
        self.rules = tuple(
            Rule(Template.parse(_joined(source, tensor)), Template.parse(f"{target}/{variable}"), choices, kind)
            for source, target, kind in self.rows
            for tensor, variable, choices in KINDS[kind]
        )

    @functools.lru_cache(100_000)  # noqa: B019 - tables live as long as the program
    def forward(self, key):
        """`(variable path, rule)` of a source key, or None."""
        for rule in self.rules:
            if (numbers := rule.source.match(key)) is not None:
                return rule.target.fill(numbers), rule
        return None

    @functools.lru_cache(100_000)  # noqa: B019
    def backward(self, path):
        """`(source key, rule)` of a variable path, or None."""
        for rule in self.rules:
            if (numbers := rule.target.match(path)) is not None:
                return rule.source.fill(numbers), rule
        return None

    def path(self, key: str) -> str | None:
        """The variable path of a source key, or None."""
        row = self.forward(key)
        return row and row[0]

    def why_ignored(self, key):
        """The reason for leaving a source tensor out, or None."""
        return next((why for pattern, why in self.ignored if re.fullmatch(pattern, key)), None)

    def shape(self, key, shape):
        """A source tensor's shape as Keras has it: `(height, width, input, output)`, `(input, output)`, `(units,)`.

        None for a key that is no variable's, or a shape that its kind does not have.
        """
        _, rule = self.forward(key) or (None, None)
        shapes = (layouts.parse(text).target_shape(shape) for text in rule.layouts) if rule else ()
        return next((found for found in shapes if found), None)

    def knows(self, key):
        return self.forward(key) is not None or self.why_ignored(key) is not None

    def module(self, name):
        """The Keras layer of a source module's name, or None."""
        for source, target in self._modules:
            if (numbers := source.match(name)) is not None:
                return target.fill(numbers)
        return None


def _joined(module, tensor):
    """A tensor's key: PyTorch and Caffe put a dot before its last part; a kind whose names begin with / says so."""
    return module + tensor if tensor.startswith("/") else f"{module}.{tensor}"


@functools.cache
def table(rows, ignored=()):
    """The table of these rows: one object for all networks that share them."""
    return Table(rows, ignored)
