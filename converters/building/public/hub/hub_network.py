"""What the config.json of a hub says of a network that a package builds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class HubNetwork:
    """A network that a package builds from a configuration.

    Attributes:
        package: name of the package, as it is imported.
        requirement: what `pip install` takes.
        architecture: what the configuration calls the network.
        make: function that builds the torch module, without weights.
        load: function of the file's tensors, a state dictionary, that gives them as the package's own loader names
            them; for files of other versions.
        preprocessing: preprocessing of the images; None: not known.
        classes: names of the classes; empty: not known, or the module says them.
        image: channels, height and width of an image that the network takes; None: not known.
        says: where preprocessing and classes stand.
        names_it: what names the network, as the beginning of a sentence.
        written_with: version of the package that wrote the file, in words; "": not known.
    """

    package: str
    requirement: str
    architecture: str
    make: Callable[[], Any]
    load: Callable[[dict[str, Any]], Mapping[str, Any]]
    preprocessing: Mapping[str, Any] | None = None
    classes: Sequence[str] = ()
    image: tuple[int, int, int] | None = None
    says: str = "config.json"
    names_it: str = "config.json says"
    written_with: str = ""
