"""Lists the networks, the published files and the families of checkpoints that tfseg knows.

tfseg list
tfseg list networks --filter=deeplabv3
tfseg list files --filter=resnet50
"""

from collections.abc import Iterator, Sequence

from tfseg_cli import flag_types
from tfseg_cli.launch import launch
from tfseg_cli.light import use_tables_only

_KIND = flag_types.choice("kind", None, ("networks", "files", "families"), "What to list; by default all three.")
_FILTER = flag_types.text("filter", None, "Only lines that have this text in them, in any case.")


def main() -> None:
    """Runs `tfseg list`."""
    launch(_list, positional="kind")


def _list() -> int | str:
    use_tables_only()
    kinds = {"networks": _networks, "files": _files, "families": _families}
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


def _networks() -> Iterator[tuple[str, ...]]:
    from converters.families import FAMILIES
    from tfseg import specs

    yield "NETWORK", "FAMILIES OF ITS FILES"
    for name in specs.network_names():
        families = [family.name for family in FAMILIES.values() if family.network(name)]
        yield name, ", ".join(families) or "none: tfseg.build makes it"


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
