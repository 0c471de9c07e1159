"""What is known of a family of checkpoints: its tables, and how the sizes are read off the tensors."""

from collections.abc import Callable
from typing import NamedTuple

from converters.names.tables import Table
from tfseg import specs

COUNTER = (r".*\.num_batches_tracked", "a counter of training batches that nothing reads")


class Network(NamedTuple):
    """One network of a family.

    Attributes:
        name: as `tfseg.build` knows it.
        table: which tensor is which variable.
        differences: shapes -> what in the file is not as in this network, in words; nothing if it fits.
        first: key of the first convolution: its input channels, and its filters, which tell the width.
        filters: of that convolution at width 1.
        public: the name of the public implementation's builder or class, or None.
        distinct: how the function differs from that of the family's other networks with the same tensors.
        options: what `tfseg.build` is told for it, beyond the family's `options`.
        dilates: whether an output stride can be chosen, where it can in the family.
        classes: as the family's, where the networks' names for that tensor differ.
        layer: name of a layer without variables that a model of it has, and one of another network with the same
            variables lacks.
    """

    name: str
    table: Table
    differences: Callable[[dict], list]
    first: str
    filters: int = 64
    public: str | None = None
    distinct: str = ""
    options: dict = {}  # noqa: RUF012 - read only
    dilates: bool = True
    classes: str | None = None
    layer: str | None = None


class Family(NamedTuple):
    """A family of checkpoints.

    Attributes:
        name: "publisher/kind".
        covers: its networks, in words.
        files: URL of the page that offers its files.
        proof: what its networks were compared with, and the largest relative difference of any layer: "timm, 3.5e-06".
        source: URL of the public implementation.
        licence: of that implementation; a published file may add terms of its own.
        formats: of its files.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`.
        preprocessing_otherwise: other names of it, for files that want it so -> which files those are.
        networks: in the order in which they are tried.
        classes: key of the tensor with one row a class; absent in a file without its head.
        heads: of a network with several: what each is called -> key of the same in it, the one of `classes` first.
        aux: key of the same in the auxiliary head, or None.
        head: regular expression of the variable paths that `include_top=False` leaves out.
        features: regular expression of the layers of which the last gives the features for `include_top=False`; None:
            the builder takes include_top itself.
        options: what `tfseg.build` is told for the family's own form, such as its output stride.
        dilates: whether an output stride can be chosen.
        conventions: of `tfseg.specs.CONVENTIONS`, those that may be asked for; one alone where the published weights
            were trained so.
        parts: for a network in several files, what each of them is called: its name -> a regular expression of keys
            that only this part has.
        datasets: names of `tfseg.specs.CLASSES`: a file with as many classes as one of them has those.
        distinct: how the function differs from that of other families with the same tensors.
        public: builds the public implementation, a torch module without weights, or None if there is none to install:
            `public(name, num_classes=, output_stride=, aux=)`, the name being the network's `public`.
        multiple_of: what the sides of an image must be a multiple of for the public implementation.
        outputs: of the results that the public implementation returns, those that are the model's outputs.
    """

    name: str
    source: str
    licence: str
    formats: tuple
    preprocessing: str
    networks: tuple
    classes: str
    head: str
    heads: dict = {}  # noqa: RUF012 - read only
    aux: str | None = None
    features: str | None = None
    options: dict = {}  # noqa: RUF012 - read only
    dilates: bool = True
    conventions: tuple = specs.CONVENTIONS
    parts: dict = {}  # noqa: RUF012 - read only
    datasets: tuple = ()
    distinct: str = ""
    public: Callable | None = None
    multiple_of: int = 1
    outputs: slice = slice(None)
    preprocessing_otherwise: dict = {}  # noqa: RUF012 - read only
    covers: str = ""
    files: str = ""
    proof: str = ""

    def network(self, name):
        return next((network for network in self.networks if network.name == name), None)
