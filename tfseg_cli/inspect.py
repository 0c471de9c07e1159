"""Says which network a checkpoint is for, and on what evidence. It reads no weights, and loads no framework.

    tfseg inspect fcn_resnet50_coco-1167a1af.pth
    tfseg inspect fcn_resnet50_coco-1167a1af.pth --keys
    tfseg inspect moco.pth.tar --prefix=module.encoder_k.

With --keys, a line for each tensor follows. --public names the code of a network, runs it, and says whether the tensors
are those of that network.
"""

from absl import flags

from tfseg_cli import flag_types, path_flags, trust_flags
from tfseg_cli.launch import launch, show_download
from tfseg_cli.light import use_tables_only
from tfseg_cli.quiet import load_library

_CHECKPOINT = path_flags.model_sources(
    "checkpoint",
    "A file, a URL, or the name of a published file. Several, with commas or spaces between them, hold one network.",
)
_PREFIX = flag_types.text(
    "prefix", None, "Text before the network's keys, such as model.encoder.; by default it is found."
)
_PUBLIC = path_flags.public_code()
_KEYS = flags.DEFINE_bool("keys", False, "List every tensor: its name, type and shape.")
flags.adopt_module_key_flags(trust_flags)
_PROGRAM = "(tfseg convert) builds its network"  # what the refusal of a program says


def main() -> None:
    """Runs `tfseg inspect`."""
    launch(_inspect, required=("checkpoint",), positional="checkpoint")


def _inspect() -> int | str:
    if _PUBLIC.value:
        load_library()
    else:
        use_tables_only()
    with trust_flags.allowing():
        return _inspect_files()


def _inspect_files() -> int | str:
    from converters.errors import ConversionError
    from converters.identification.identify import identify
    from converters.identification.sources import open_source
    from converters.identification.ways_to_build import way_to_build

    try:
        source = open_source(_CHECKPOINT.value, progress=show_download)
    except ConversionError as error:  # a program has tensors without the names of layers: there are none to list
        if _KEYS.value or _PROGRAM not in str(error):
            raise
        print(str(error).partition(" For the weights alone")[0])
        return 0
    refusal = None
    try:
        if any(checkpoint.header.get("tfseg") == "model" for checkpoint in source.checkpoints):
            print("a model of tfseg, ready to use: tfseg.load(path), `tfseg predict --model=...`")
        elif _PUBLIC.value:
            from converters.building.public.named import match_public

            print(match_public(source, _PUBLIC.value, prefix=_PREFIX.value))
        else:
            print(identify(source, prefix=_PREFIX.value))
    except ConversionError as error:
        refusal = str(error)
        if _PREFIX.value is None and _PUBLIC.value is None and (way := way_to_build(source)):
            refusal = None
            print(f"no known network: {_beginning(error)}\n{way}")
    for checkpoint in source.checkpoints:
        print(f"{checkpoint.path.name}: {checkpoint.description}")
    if _KEYS.value:
        width = max(map(len, source), default=0)
        for key in source:
            print(f"{key.ljust(width)}  {str(source.dtypes[key]).ljust(8)}  {'x'.join(map(str, source.shapes[key]))}")
    return refusal or 0


def _beginning(error: Exception) -> str:
    """What an error says before it says what to do."""
    return str(error).partition(" Received: ")[0]


if __name__ == "__main__":
    main()
