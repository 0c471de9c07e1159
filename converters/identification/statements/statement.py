"""What one source beside the tensors says of the network, as facts that choose it or refuse it."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from converters.families import Family, FamilyNetwork
from tfseg import specs


@dataclasses.dataclass(frozen=True)
class Statement:
    """What one source says. Nothing in it is required: what is empty was not said.

    Attributes:
        origin: where it stands, as messages name it: "config.json", "the label args.arch".
        says: what stands there, shortly: "architecture 'resnet50'".
        names: names of networks that it may mean, as `tfseg.build` or the public implementation calls them.
        families: names of the families that it may mean; empty: any.
        words: words that the network's name contains, where it names a kind ("deeplab") and not a network.
        unknown: whether it names a network that is not known here.
        binding: whether it describes these very weights, so that `network=` does not overrule it.
        options: options of `tfseg.build` that it decides.
        refusals: what it says that cannot be built, in words.
        num_classes: number of classes of the head.
        channels: number of channels of the input.
        classes: names of the classes.
        preprocessing: preprocessing of the images, as in `tfseg.specs.PREPROCESSING`.
        notes: further sentences for the receipt.
        head: what cannot be built if the network has its head, in words.
        dilated: whether the network's last stages are dilated, where nothing says how.
        complete: whether it tells what the tensors leave open of the network and its head.
    """

    origin: str
    says: str
    names: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unknown: bool = False
    binding: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    num_classes: int | None = None
    channels: int | None = None
    classes: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    head: str = ""
    dilated: bool | None = None
    complete: bool = False

    def agrees(self, family: Family, network: FamilyNetwork) -> bool:
        """Whether the statement may mean this network, or its trunk.

        Args:
            family: record of the family.
            network: record of the network.
        """
        if self.unknown or (self.families and family.name not in self.families):
            return False
        public = [network.public] if network.public else []
        if self.words:
            return any(word in collapse(name) for name in (network.name, *public) for word in self.words)
        if not self.names:
            return True
        trunk = _trunk(network.name)
        meant = {network.name, trunk, *public, *(name.split("-")[0] for name in public)}
        # A variant that the tensors show is often called by its depth alone: resnet50s "resnet50", vgg16_bn "vgg16".
        meant |= {re.sub(r"(?<=\d)([cdst]|_bn)$", "", name) for name in (network.name, trunk)}
        return bool(meant & self.names)


def _trunk(network: str) -> str:
    """The network without its head."""
    if network in specs.FCNS or network in specs.DEEPLAB_VGGS:
        return "vgg16"
    return network if network in specs.RESNETS or network in specs.DRNS else network.partition("_")[2]


def collapse(name: str) -> str:
    """A name without what people spell differently: "DeepLabV3+_ResNet-50" -> "deeplabv3plusresnet50".

    Args:
        name: name of a network.
    """
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum())
