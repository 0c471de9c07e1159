"""Lists the tensors of a checkpoint and says which network it is. It reads no weights, and the list needs no framework.

tfseg-inspect --checkpoint=fcn_resnet50_coco-1167a1af.pth
"""

from absl import flags

from tfseg_cli.launch import launch, show_download

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint", None, "A file, a URL, or the name of a published file; several, separated by commas.", required=True
)
_KEYS = flags.DEFINE_bool("keys", True, "Whether to list every tensor.")


def main() -> None:
    """Runs `tfseg-inspect`."""
    launch(_inspect)


def _inspect() -> int:
    from converters.identification.sources import open_source

    source = open_source(_CHECKPOINT.value, progress=show_download)
    if _KEYS.value:
        width = max(map(len, source), default=0)
        for key in source:
            print(f"{key.ljust(width)}  {str(source.dtypes[key]).ljust(8)}  {'x'.join(map(str, source.shapes[key]))}")
    for checkpoint in source.checkpoints:
        print(f"{checkpoint.path.name}: {checkpoint.description}")

    from converters import identify  # here, because it loads Keras

    print(identify(source))
    return 0


if __name__ == "__main__":
    main()
