"""The tables at the end: what all records of a folder say."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.gpu.records import Record, Records

SPEED_PARTS = "training", "inference"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table in Markdown.

    Args:
        head: titles of the columns.
        rows: cells.
    """
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def newest(records: Iterable[Record], *keys: str) -> list[Record]:
    """The newest record of each combination of entries, in the order of the first ones.

    Args:
        records: records, the oldest first.
        keys: names of the entries that tell them apart.
    """
    return [*{tuple(map(str, map(record.get, keys))): record for record in records}.values()]


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def _speed(part: str, records: Records) -> Iterator[str]:
    keys = "network", "precision", "batch", "size", "contender"
    rows = newest(records.all(part), *keys)
    if not rows:
        return
    yield f"\n{part}: images a second, median of turns; beside torch.compile in the same turns\n"
    head = (*keys[:4], "contender", "images/s", "beside torch.compile", "peak GB", "note")
    cells = (
        (
            *(str(row[key]) for key in keys),
            _number(row.get("images_per_second")),
            _number(row.get("speed_beside_torch_compile")),
            _number(row.get("peak_gb")),
            row.get("error", "").partition("\n")[0][:60],
        )
        for row in rows
    )
    yield from table(head, cells)
    yield from _best(part, rows)


def _best(part: str, rows: Sequence[Record]) -> Iterator[str]:
    """The best batch of each contender, beside the best of torch.compile."""
    best: dict[tuple[str, str, str], Record] = {}
    for row in rows:
        key = row["network"], row["precision"], row["contender"]
        speed = row.get("images_per_second")
        if speed and speed > best.get(key, {}).get("images_per_second", 0):
            best[key] = row
    if part != "training" or not best:
        return
    yield "\ntraining, the batch that is best for each\n"
    cells = []
    for (network, precision, contender), row in best.items():
        other = best.get((network, precision, "torch_compile"), {}).get("images_per_second")
        ratio = row["images_per_second"] / other if other else None
        cells.append(
            (network, precision, contender, str(row["batch"]), _number(row["images_per_second"]), _number(ratio))
        )
    yield from table(("network", "precision", "contender", "batch", "images/s", "beside torch.compile"), cells)


def _segmenters(records: Records) -> Iterator[str]:
    rows = newest(records.all("segmenters"), "plan")
    if not rows:
        return
    yield "\nsegmenters: trained on CamVid's train split; scores of the class maps of val\n"
    head = (
        "plan",
        "passes over the data",
        "mean IoU",
        "pixel accuracy",
        "best epoch",
        "last loss",
        "MB",
        "seconds",
        "note",
    )
    cells = (
        (
            row["plan"],
            str(row["epochs_done"] * row["passes"]),
            _number(100 * row["mean_iou"]),
            _number(100 * row["pixel_accuracy"]),
            _number(row["best_epoch"], ".0f"),
            _number(row["last_loss"], ".4f"),
            _number(row["weights_bytes"] / 1e6, ".1f"),
            _number(row["seconds"], ".0f"),
            "interrupted" if row["interrupted"] else "",
        )
        for row in rows
    )
    yield from table(head, cells)


def _scores(records: Records) -> Iterator[str]:
    rows = newest(records.all("score"), "plan")
    if rows:
        yield "\nscore: class maps scored again\n"
        cells = ((row["plan"], str(row["maps"]), _number(100 * row["mean_iou"])) for row in rows)
        yield from table(("plan", "photographs", "mean IoU"), cells)


def _parity(records: Records) -> Iterator[str]:
    rows = newest(records.all("parity"), "network")
    if not rows:
        return
    yield "\nparity: logits of the accelerator beside the CPU's in float32, random weights\n"
    cells = (
        (
            row["network"],
            _number(row.get("relative_difference"), ".1e"),
            _number(row.get("bfloat16_relative_difference"), ".1e"),
            _number(100 * row["bfloat16_same_class"] if "bfloat16_same_class" in row else None),
            row.get("error", "").partition("\n")[0][:60],
        )
        for row in rows
    )
    head = ("network", "float32, TF32 off", "bfloat16", "same class in bfloat16, %", "note")
    yield from table(head, cells)
    good = [row for row in rows if "error" not in row]
    if good:
        worst = max(good, key=lambda row: row["relative_difference"])
        least = min(good, key=lambda row: row["bfloat16_same_class"])
        yield (
            f"\n{len(good)} of {len(rows)} networks; largest difference {worst['relative_difference']:.1e} "
            f"({worst['network']}); fewest equal classes in bfloat16 {100 * least['bfloat16_same_class']:.2f} % "
            f"({least['network']})"
        )


def tables(records: Records) -> Iterator[str]:
    """The lines of all tables.

    Args:
        records: what was measured, now or before.
    """
    devices = newest(records.all("machine"), "contender")
    for row in devices:
        facts = {key: value for key, value in row.items() if key not in ("part", "time", "contender")}
        yield f"{row['contender']}: " + ", ".join(f"{key} {value}" for key, value in facts.items())
    for part in SPEED_PARTS:
        yield from _speed(part, records)
    yield from _segmenters(records)
    yield from _scores(records)
    yield from _parity(records)
