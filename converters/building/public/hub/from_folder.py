"""A folder of a hub in, a Keras model of its network out, whatever its architecture: its own package builds it."""

import contextlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from converters.building.assemble import BuiltProgram
from converters.building.build import build_from_module
from converters.building.public.blank_module import build_blank
from converters.building.public.callables import with_version
from converters.building.public.file_account import account_for_file, carry_facts
from converters.building.public.fill_module import FilledModule, as_tensor, fill, fill_converted
from converters.building.public.hub.hub_network import HubNetwork
from converters.building.public.hub.smp_network import smp_network
from converters.building.public.hub.timm_network import timm_network
from converters.building.public.hub.transformers_network import transformers_network
from converters.building.public.matching_tensors import match_tensors
from converters.errors import ConversionError
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.identification.sources import Source


def hub_network(source: Source) -> HubNetwork | None:
    """The network that the configuration beside a source's tensors says; None where it says none of a package.

    Args:
        source: the opened file or folder.
    Raises:
        ConversionError: the network's code lies in the folder.
    """
    documents = source.checkpoints[0].documents if len(source.checkpoints) == 1 else {}
    config, processor = documents.get("config.json"), documents.get("preprocessor_config.json")
    if not isinstance(config, Mapping):
        return None
    if config.get("auto_map") or config.get("trust_remote_code"):
        raise ConversionError(
            f"{source.name}: config.json says that the code of the network lies in the folder (auto_map), as "
            "trust_remote_code=True would run it. Code of a checkpoint is never run. If you trust it, build the module "
            "yourself, load its weights, and convert it: converters.convert(module)."
        )
    if isinstance(config.get("_model_class"), str):
        return smp_network(config)
    if isinstance(config.get("model_type"), str):
        return transformers_network(config, processor if isinstance(processor, Mapping) else None)
    if isinstance(config.get("architecture"), str):
        return timm_network(config)
    return None


def build_from_hub(
    source: Source, network: HubNetwork, *, example: Any = None, allow_nonfinite: bool = False
) -> BuiltProgram:
    """A Keras model of the network that a configuration says, built by its package's code.

    Nothing of the folder runs: the package that is installed does.

    Args:
        source: the opened file or folder.
        network: what `hub_network` gives.
        example: an image that the network takes, as for `build_from_module`; by default of the size that is stated.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: the package is not installed, or lacks the network; tensors that are not those of the network;
            and as `build_from_module`.
    """
    require_package(source, network)
    version = with_version(network.package)
    with contextlib.suppress(ImportError):
        import_torchvision()  # which these packages import
    try:
        module = build_blank(network.make)
    except ConversionError as error:
        raise ConversionError(f"{source.name}: {error}") from error
    except Exception as error:  # the package's own code
        raise ConversionError(
            f"{source.name}: {version} does not build it ({network.names_it} {network.architecture}): "
            f"{type(error).__name__}: {_first_line(error)}. {_other_version(network)}"
        ) from error
    filled, tensors, notes = _filled(source, network, module, version, allow_nonfinite)
    built = build_from_module(module, example=_example(network) if example is None else example)
    written = f", and the file was written with {network.written_with}" if network.written_with else ""
    built = account_for_file(
        built,
        tensors,
        filled,
        family=f"{network.package} (its own code)",
        network=network.architecture,
        ignored={},
        notes=[f"{network.names_it} {network.architecture}, which {version} builds{written}", *notes],
    )
    carry_facts(
        built.model,
        built.receipt,
        preprocessing=network.preprocessing,
        classes=network.classes,
        origin=network.says,
    )
    return built


def require_package(source: Source, network: HubNetwork) -> None:
    """Refuses a network whose package is not installed.

    Args:
        source: the opened file or folder.
        network: what `hub_network` gives.
    Raises:
        ConversionError: naming the package to install, and the version that wrote the file.
    """
    missing = [name for name in ("torch", network.package) if importlib.util.find_spec(name) is None]
    if not missing:
        return
    written = f"The file was written with {network.written_with}. " if network.written_with else ""
    raise ConversionError(
        f"{source.name}: {network.names_it} {network.architecture} of {network.package}, which has no table here. The "
        f"package's own code can build it, and {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not "
        f"installed. {written}Install it: pip install {' '.join((*missing[:-1], network.requirement))}."
    )


def _filled(
    source: Source, network: HubNetwork, module: Any, version: str, allow_nonfinite: bool
) -> tuple[FilledModule, Source, tuple[str, ...]]:
    """The module with the file's weights: as they are named, or else as the package's own loader names them."""
    matched = match_tensors(module, source, prefix=None, skip=())
    if not matched.mismatches:
        return fill(module, matched.source, allow_nonfinite=allow_nonfinite), matched.source, matched.notes
    state = {source.name_in_file(key): as_tensor(key, source[key], allow_nonfinite=allow_nonfinite) for key in source}
    arrays = {source.name_in_file(key): source[key] for key in source}
    try:
        converted = network.load(state)
        filled = fill_converted(module, converted, arrays, package=network.package, allow_nonfinite=allow_nonfinite)
    except Exception as error:  # the package's own, or ours
        reason = error if isinstance(error, ConversionError) else f"{type(error).__name__}: {_first_line(error)}"
        raise ConversionError(
            f"{source.name}: {network.names_it} {network.architecture}, and the tensors are not those of the network "
            f"that {version} builds: "
            f"{matched.mismatches}. Its own loader does not change that: {reason} {_other_version(network)} "
            f"Received: {len(source)} tensors."
        ) from error
    in_module = {name: key for key in source for name in [source.name_in_file(key)]}
    filled = filled._replace(
        keys={key: in_module[name] for key, name in filled.keys.items()},
        ignored={in_module[name]: why for name, why in filled.ignored.items()},
    )
    return filled, source, (f"its tensors have the names that {network.package}'s own loader gives them",)


def _example(network: HubNetwork) -> Any:
    import torch

    return None if network.image is None else torch.zeros(1, *network.image)


def _other_version(network: HubNetwork) -> str:
    if network.written_with:
        return f"The file was written with {network.written_with}: pip install {network.requirement}."
    return f"Another version of {network.package} may be the one that wrote it."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")
