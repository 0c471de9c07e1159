"""Lists the backbones, decoders, networks, published files and families of checkpoints that tfseg knows.

tfseg list
tfseg list backbones
tfseg list networks --filter=deeplabv3
tfseg list files --filter=resnet50

Every decoder reads every backbone. Of these networks, only those are listed that have files.
"""

from collections.abc import Iterator, Sequence

from tfseg_cli import flag_types
from tfseg_cli.launch import launch
from tfseg_cli.light import use_tables_only

_KINDS = ("backbones", "decoders", "networks", "files", "families")
_KIND = flag_types.choice("kind", None, _KINDS, "What to list; by default all.")
_FILTER = flag_types.text("filter", None, "Only lines that have this text in them, in any case.")

_NO_FILES = "none: tfseg.build makes it"


def main() -> None:
    """Runs `tfseg list`."""
    launch(_list, positional="kind")


def _list() -> int | str:
    use_tables_only()
    kinds = dict(zip(_KINDS, (_backbones, _decoders, _networks, _files, _families), strict=True))
    printed = False
    for kind in [_KIND.value] if _KIND.value else kinds:
        head, *rows = kinds[kind]()
        rows = [row for row in rows if (_FILTER.value or "").lower() in "  ".join(row).lower()]
        if rows:
            print(f"{chr(10) if printed else ''}{len(rows)} {kind}")
            for line in _aligned([head, *rows]):
                print(line)
            printed = True
    return 0 if printed else f"no line has the text {_FILTER.value!r}"


def _backbones() -> Iterator[tuple[str, ...]]:
    from tfseg import specs

    yield "BACKBONE", "FAMILIES OF ITS FILES"
    for name in sorted(specs.BACKBONES):
        yield name, _families_of(name) or _NO_FILES


def _decoders() -> Iterator[tuple[str, ...]]:
    from tfseg import specs

    yield "DECODER", "ON A BACKBONE"
    for name in sorted({head for head, _ in specs.SEGMENTERS.values()}):
        backbone = next(backbone for head, backbone in specs.SEGMENTERS.values() if head == name)
        yield name, f"--model={name} --options=backbone={backbone}, or --model={name}_{backbone}"


def _networks() -> Iterator[tuple[str, ...]]:
    from tfseg import specs

    yield "NETWORK", "FAMILIES OF ITS FILES"
    for name in specs.network_names():
        families = _families_of(name)
        if families or name not in {*specs.BACKBONES, *specs.SEGMENTERS}:
            yield name, families or _NO_FILES


def _families_of(network: str) -> str:
    from converters.families import FAMILIES

    return ", ".join(family.name for family in FAMILIES.values() if family.network(network))


def _files() -> Iterator[tuple[str, ...]]:
    from converters.downloads.published import PUBLISHED

    yield "FILE", "NETWORK", "SIZE", "HASH", "LICENSE"
    for row in PUBLISHED:
        size = f"{row.mebibytes:.1f} MiB" if row.mebibytes else "unknown"
        yield row.name, row.network, size, row.hash, row.license


def _families() -> Iterator[tuple[str, ...]]:
    from converters.families import FAMILIES

    yield "FAMILY", "LICENSE", "NETWORKS"
    for family in FAMILIES.values():
        yield family.name, family.license, family.covers


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


if __name__ == "__main__":
    main()
