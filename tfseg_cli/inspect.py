"""Lists what a checkpoint holds and says what it is; reads no weights and needs no framework for the list.

tfseg-inspect --checkpoint=fcn_resnet50_coco-1167a1af.pth
"""

from absl import flags

from tfseg_cli.launch import launch, show_download

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint", None, "A file, a URL, or the name of a published file; several with commas.", required=True
)
_KEYS = flags.DEFINE_bool("keys", True, "Whether to list every tensor.")


def main():
    launch(_inspect)


def _inspect():
    from converters.identification.sources import open_source

    source = open_source(_CHECKPOINT.value, progress=show_download)
    if _KEYS.value:
        width = max(map(len, source), default=0)
        for key in source:
            print(f"{key.ljust(width)}  {str(source.dtypes[key]).ljust(8)}  {'x'.join(map(str, source.shapes[key]))}")
    for checkpoint in source.checkpoints:
        print(f"{checkpoint.path.name}: {checkpoint.description}")

    from converters import identify

    print(identify(source))
    return 0


if __name__ == "__main__":
    main()
