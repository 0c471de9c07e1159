"""The empty network for a checkpoint: what the file, its family and the caller say about it, brought together."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

import tfseg
from converters.errors import ConversionError
from converters.families import FAMILIES, Family, FamilyNetwork
from converters.identification.fits import Fit, Sizes
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.types import Shapes
from tfseg import specs
from tfseg.nets import blocks, registry

_TRUNK = {*(field.name for field in dataclasses.fields(specs.ResNetSpec)), "convention"}


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """What the caller asks of the network; None leaves it to the file and its family.

    Attributes:
        num_classes: classes of the head; `{name: number}` for several heads.
        output_stride: input pixels for each feature pixel.
        convention: name in `tfseg.specs.CONVENTIONS`.
        include_top: whether the network has its head.
        aux: whether the model returns the auxiliary logits, too.
        multi_scale: sizes of the image that DeepLabV2 sees.
        named: whether the caller names the network or its family: a segmenter is then built with a new head, if the
            file has none.
    """

    num_classes: int | Mapping[str, int] | None = None
    output_stride: int | None = None
    convention: str | None = None
    include_top: bool | None = None
    aux: bool | None = None
    multi_scale: bool | Sequence[float] | None = None
    named: bool | None = None


class BuiltNetwork(NamedTuple):
    """An empty network.

    Attributes:
        model: the model.
        options: options that `tfseg.build` got.
        drop: `(regular expression of variable paths, reason)`: what the file may hold although the model lacks it.
    """

    model: keras.Model
    options: dict[str, Any]
    drop: list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class _Target:
    """The network to build.

    Attributes:
        name: name of the network.
        fit: network whose names the file has.
        sizes: sizes that the file's tensors tell.
        owner: family in whose form the network is built.
        network: record of the network in that family.
    """

    name: str
    fit: Fit
    sizes: Sizes
    owner: Family
    network: FamilyNetwork

    @property
    def is_file_network(self) -> bool:
        """Whether the file holds this network, and not another one for a transplant."""
        return self.name == self.fit.network.name

    @property
    def is_classifier(self) -> bool:
        return self.owner.features is None


def build_network(
    target: str, fit: Fit, source: Source, request: BuildRequest, *, stated: Mapping[str, Any] | None = None
) -> BuiltNetwork:
    """Builds the empty network that a file's weights go into.

    Args:
        target: name of the network.
        fit: network whose names the file has.
        source: source of the weights.
        request: what the caller asks for.
        stated: options that a configuration beside the weights decides.
    Raises:
        ConversionError: no family has the network, or its family lacks an option that is asked for.
    """
    known = _Target(target, fit, fit.sizes(source.shapes), *_owner(target, fit))
    options = _family_options(known, request)
    if known.is_file_network:
        options |= fit.network.read(source.shapes)
    head = _has_head(known, request)
    options |= _stated_options(known, stated or {}, head)
    _check_request(known, request, options)
    options |= _requested_options(known, request, head, source.shapes)
    if not head and "multi_scale" in options:
        options["multi_scale"] = False
    try:
        with blocks.blank_weights(lazy_zeros):
            model = tfseg.build(target, **options)
    except ValueError as error:
        raise ConversionError(f"{source.name} cannot be built as {target}: {error}") from error
    if not head and not known.is_classifier:
        layers = [layer for layer in model.layers if re.fullmatch(known.owner.features or "", layer.name)]
        model = keras.Model(model.input, layers[-1].output, name=f"{target}_features")
    drop = []
    if known.owner.aux is not None and not request.aux:
        drop.append(("aux_.*", "the auxiliary head, not asked for: aux=True"))
    if not head:
        drop.append((known.owner.head, "the head, left out: include_top=False"))
    return BuiltNetwork(model, options, drop)


def _stated_options(known: _Target, stated: Mapping[str, Any], head: bool) -> dict[str, Any]:
    """What a configuration decides of this network; without a head, what it says of another one's does not count."""
    taken = None if head else registry.options_of(known.name)
    return {
        key: value
        for key, value in stated.items()
        if (known.is_file_network or key in _TRUNK) and (taken is None or key in taken)
    }


def _owner(target: str, fit: Fit) -> tuple[Family, FamilyNetwork]:
    """The family in whose form a network is built, and its record; for a ResNet that no family has, one with its head.

    Raises:
        ConversionError: no family has the network.
    """
    families = (fit.family, *FAMILIES.values())
    for family in families:
        if network := family.network(target):
            return family, network
    head, _, backbone = target.partition("_")
    if backbone in specs.RESNETS:
        for family in families:
            for network in family.networks:
                if network.name.startswith(f"{head}_"):
                    return family, network
    raise ConversionError(
        f"No family known here has the network {target}: build it with tfseg.build and fill it with import_weights."
    )


def _family_options(target: _Target, request: BuildRequest) -> dict[str, Any]:
    """The options of the family's form, with the sizes that the file tells."""
    fit, owner = target.fit, target.owner
    network = fit.network if target.is_file_network else target.network
    options = {**owner.options, **network.options}
    if target.is_file_network and fit.is_any_trunk and not request.named:
        takes = registry.options_of(target.name)
        options |= {key: value for key, value in (owner.trunk or {}).items() if key in takes}
    if owner is not fit.family:  # a transplant: the head is its owner's, the trunk the file's
        trunk = {**fit.family.options, **fit.network.options}
        options = {key: value for key, value in options.items() if key not in _TRUNK}
        options |= {key: value for key, value in trunk.items() if key in _TRUNK}
    return options | {"width": target.sizes.width, "channels": target.sizes.channels}


def _check_request(target: _Target, request: BuildRequest, options: Mapping[str, Any]) -> None:
    """Refuses what the network, its family or the file does not have.

    Raises:
        ConversionError: naming the option, and why it is not available.
    """
    name, owner, trained, sizes = target.name, target.owner, target.fit.family, target.sizes
    if request.output_stride is not None:
        dilates = owner.dilates and target.network.dilates
        _allow(dilates, f"{name} has one output stride only", "output_stride", request.output_stride)
    if request.convention is not None:
        if request.convention not in specs.CONVENTIONS:
            why = f"convention must be one of {', '.join(map(repr, specs.CONVENTIONS))}"
        elif trained.conventions:
            why = f"the weights of {trained.name} were trained with {' or '.join(map(repr, trained.conventions))}"
        else:
            why = f"{name} has the rates that its paper gives it"
        _allow(request.convention in trained.conventions, why, "convention", request.convention)
    if request.include_top and target.is_file_network:
        _allow(sizes.include_top, "the file has no head", "include_top", request.include_top)
    if request.aux:
        _allow(owner.aux is not None, f"{name} has no auxiliary head", "aux", request.aux)
        in_file = sizes.aux or not target.is_file_network
        _allow(in_file, "the file has no auxiliary head", "aux", request.aux)
    if request.multi_scale is not None:
        several = "multi_scale" in options
        _allow(several, f"{name} sees the image at one size", "multi_scale", request.multi_scale)
    if not _has_head(target, request):
        _allow(request.num_classes is None, "features have no classes", "num_classes", request.num_classes)
        one_size = "features are of one size of the image"
        _allow(not request.multi_scale, one_size, "multi_scale", request.multi_scale)


def _has_head(target: _Target, request: BuildRequest) -> bool:
    if request.include_top is None and target.is_classifier:
        return target.sizes.include_top
    if request.include_top is None and target.is_file_network and target.fit.headless and not request.named:
        return request.num_classes is not None and not target.fit.is_any_trunk  # a number of classes asks for a head
    return request.include_top is not False


def _requested_options(target: _Target, request: BuildRequest, head: bool, shapes: Shapes) -> dict[str, Any]:
    """The options of `tfseg.build` that follow from the request."""
    options: dict[str, Any] = {}
    if request.output_stride is not None:
        options["output_stride"] = request.output_stride
    if request.convention is not None:
        options["convention"] = request.convention
    if target.owner.aux is not None:
        options["aux"] = (target.network.aux_layer or True) if request.aux else False
    if request.multi_scale is not None:
        options["multi_scale"] = request.multi_scale
    if target.is_classifier:
        options["include_top"] = head
    if head:
        in_file = target.sizes.num_classes if target.owner is target.fit.family else None
        num_classes = request.num_classes if request.num_classes is not None else (in_file or None)
        options |= {} if num_classes is None else {"num_classes": num_classes}
        aux_classes = (
            target.fit.aux_classes(shapes) if options.get("aux") and target.owner is target.fit.family else None
        )
        if request.num_classes is None and aux_classes not in (None, num_classes):
            options["aux_classes"] = aux_classes
    return options


def _allow(condition: bool, why: str, option: str, value: Any) -> None:
    if not condition:
        raise ConversionError(f"{option} is not available here: {why}. Received: {option}={value!r}")
