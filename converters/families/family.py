"""What is known of a family of checkpoints: its tables, and how the sizes are read off the tensors."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from converters.names.tables import Table
from converters.types import Shapes
from tfseg import specs

COUNTER = (r".*\.num_batches_tracked", "a counter of training batches that nothing reads")
NEVER = r"(?!)"  # a regular expression that fits nothing


def _nothing(width: float) -> Shapes:
    """No variables: the table of the network, and what it requires, identify it."""
    return {}


def _no_options(shapes: Shapes) -> Mapping[str, Any]:
    """The shapes of the tensors tell no options."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyNetwork:
    """One network of a family.

    Attributes:
        name: name that `tfseg.build` knows.
        table: table that says which tensor is which variable.
        first: key of the first convolution: it tells the input channels, and by its filters the width.
        widest: path of the kernel whose filters tell the width, where those of the first one are rounded too much.
        variables: function of the width that gives the variables which every file has, path -> shape: one of
            `converters.families.variables`, which tell files apart. An axis of size 0 may have any size.
        complete: regular expression of layers outside the trunk. A file has of them those among `variables`, no others.
        optional: regular expression of layers that a file may lack although they are among `variables`.
        requires: keys that a file must have -> key that asks for it if it is there; "" if nothing does.
        num_classes: number of classes, where it tells the network from others; None: any.
        channels: number of input channels, where it tells the network from others; None: any.
        whole: the same network in a file with tensors of layers that it does not compute; they tell the file apart.
        public: name of the public implementation's builder or class, or None.
        distinct: how the function differs from that of the family's other networks with the same tensors.
        assumed: what the tensors do not tell, and how it is built then, in words for the receipt.
        assumed_stride: sentence on an output stride that the tensors do not tell; left out if it is stated.
        options: options that `tfseg.build` gets, beyond the family's `options`.
        read: function of the shapes of a file's tensors that gives further options, which they tell.
        dilates: whether an output stride can be chosen, where the family allows it.
        classes: key that replaces the family's `classes`, where the names of that tensor differ.
        aux_layer: layer that its auxiliary head reads; None: the last block of ResNet's `conv4` stage.
        layer: name of a layer without variables that a model of this network has. A model of another network with the
            same variables lacks it.
    """

    name: str
    table: Table
    first: str
    variables: Callable[[float], Shapes] = _nothing
    widest: str = ""
    complete: str = NEVER
    optional: str = NEVER
    requires: Mapping[str, str] = dataclasses.field(default_factory=dict)
    num_classes: int | None = None
    channels: int | None = None
    whole: "FamilyNetwork | None" = None
    public: str | None = None
    distinct: str = ""
    assumed: str = ""
    assumed_stride: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    read: Callable[[Shapes], Mapping[str, Any]] = _no_options
    dilates: bool = True
    classes: str | None = None
    aux_layer: str | None = None
    layer: str | None = None

    @property
    def filters(self) -> int:
        """Filters of the first convolution at width 1."""
        path = self.table.path(self.first)
        return self.variables(1.0).get(path or "", (64,))[-1]


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """A family of checkpoints: files whose tensors follow one naming.

    Attributes:
        name: name of the family, "publisher/kind".
        source: URL of the public implementation.
        license: license of that implementation; a published file may add terms.
        formats: formats of its files, as `Checkpoint.format` names them.
        preprocessing: name in `tfseg.specs.PREPROCESSING`.
        networks: networks in the order in which they are tried.
        classes: key of the tensor with one row for each class; absent in a file without its head.
        head: regular expression of the variable paths that `include_top=False` leaves out.
        heads: names of the heads of a network with several -> key of `classes` in each, the first one being `classes`.
        aux: key of the tensor with one row for each class in the auxiliary head, or None.
        features: regular expression of the layers, the last of which gives the features for `include_top=False`. None:
            the builder takes `include_top` itself.
        options: options that `tfseg.build` gets for the family's form, such as its output stride.
        dilates: whether an output stride can be chosen.
        conventions: names in `tfseg.specs.CONVENTIONS` that may be asked for; one alone where the published weights
            were trained so.
        trunk: options that `tfseg.build` gets for a file without the head, if other projects name their trunks in the
            same way: the file may be anybody's. None: a file without the head is the family's own, in its form.
        parts: names of the files, for a network in several -> regular expression of keys that only this file has.
        datasets: names in `tfseg.specs.CLASSES`: a file with as many classes as a data set has gets its class names.
        distinct: how the function differs from that of other families with the same tensors.
        public: builder of the public implementation, a torch module without weights, or None if none can be installed:
            `public(name, num_classes=, output_stride=, aux=)`, where `name` is the network's `public`.
        multiple_of: number of which the public implementation needs the sides of an image to be multiples.
        ends_at_logits: whether the public implementation returns its logits as small as they are. Its users enlarge
            them, and the network here does.
        outputs: slice of the public implementation's results that the model's outputs correspond to.
        preprocessing_otherwise: further names of preprocessing -> which files want it.
        file_words: regular expression, in lower case: a file whose name has it is of this family, if it fits.
        covers: networks of the family, in words.
        files: URL of the page that offers the files.
        proof: what its networks were compared with, and the largest relative difference: "timm, 3.5e-06".

    Example:
        >>> from converters.families import FAMILIES
        >>> family = FAMILIES["torchvision/resnet"]
        >>> family.license, family.preprocessing, family.network("resnet50").first
        ('BSD-3-Clause', 'torch', 'conv1.weight')
    """

    name: str
    source: str
    license: str
    formats: tuple[str, ...]
    preprocessing: str
    networks: tuple[FamilyNetwork, ...]
    classes: str
    head: str
    heads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aux: str | None = None
    features: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dilates: bool = True
    conventions: tuple[str, ...] = specs.CONVENTIONS
    trunk: Mapping[str, Any] | None = None
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    distinct: str = ""
    public: Callable[..., Any] | None = None
    multiple_of: int = 1
    ends_at_logits: bool = False
    outputs: slice = dataclasses.field(default_factory=lambda: slice(None))
    preprocessing_otherwise: Mapping[str, str] = dataclasses.field(default_factory=dict)
    file_words: str = NEVER
    covers: str = ""
    files: str = ""
    proof: str = ""

    def network(self, name: str) -> FamilyNetwork | None:
        """The first network of that name, or None."""
        return next((network for network in self.networks if network.name == name), None)
