"""Parts "prepare", "training" and "inference": images a second, beside PyTorch on the same device.

All contenders hold the same case at the same time, each in its own process, and take turns, so that noise affects all
equally. A contender whose memory is full, or that fails, leaves the round and says so in its record.
"""

import concurrent.futures
import dataclasses
import math
import pathlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.gpu.contenders import CONTENDERS
from benchmarks.gpu.nets import Case
from benchmarks.gpu.processes import Child, environment
from benchmarks.gpu.records import Budget, Record, Records

REFERENCE = "torch_compile"
TURN_GRACE = 20.0  # seconds by which the last round of turns may exceed the time
COMPILING = "tfseg_jax", "torch_compile"  # those whose networks take long to compile


@dataclasses.dataclass(frozen=True)
class Timing:
    """How speed is measured.

    Attributes:
        rounds: turns of each contender.
        turn_seconds: how long a turn lasts, about; it has at least two steps.
        contenders: names of `CONTENDERS`.
        compiler: backend of `torch.compile`.
        at_once: processes that compile at the same time.
        folder: folder of results, with the logs and what was compiled.
    """

    rounds: int
    turn_seconds: float
    contenders: Sequence[str]
    compiler: str
    at_once: int
    folder: pathlib.Path

    def child(self, name: str) -> Child:
        """A process with a contender.

        Args:
            name: name of the contender.
        """
        env = environment(CONTENDERS[name], self.folder / "compiled")
        return Child("worker", name, self.compiler, env=env, log=self.folder / "logs" / f"{name}.log")


def cases_of(task: str, networks: Iterable[str], steps: Iterable[tuple[str, int]], size: int, tiny: bool) -> list[Case]:
    """All cases of a task, the first ones first: every network with the first precision and batch, and so on.

    Args:
        task: "training" or "inference".
        networks: names of networks.
        steps: pairs of a precision and a batch.
        size: height and width of an image, in pixels.
        tiny: whether the networks are short or narrow.
    """
    names = list(networks)
    return [Case(task, name, precision, batch, size, tiny) for precision, batch in steps for name in names]


def prepare(
    cases: Sequence[Case], timing: Timing, records: Records, budget: Budget, say: Callable[[str], None]
) -> None:
    """Compiles all cases, several at once, so that the parts that measure find them compiled.

    Args:
        cases: cases of both tasks.
        timing: how they will be measured.
        records: where what was compiled is written.
        budget: the time for it.
        say: called with a line of text.
    """

    def compile_all(name: str, network: str) -> None:
        child = timing.child(name)
        for case in (case for case in cases if case.network == network):
            entries = {"task": case.task, **case.entries(), "contender": name}
            if _last_good(records, "prepare", entries):
                continue
            if not budget.left():
                break
            child.send(do="load", case=dataclasses.asdict(case))
            reply = child.reply(budget.left())
            records.add("prepare", **entries, **reply)
            say(f"compiled {name} {_title(case)}: {reply.get('error') or str(reply['load_seconds']) + ' s'}")
            if not child.is_alive:
                break
            child.send(do="drop")
            child.reply(60)
        child.close()

    names = [name for name in timing.contenders if name in COMPILING]
    networks = dict.fromkeys(case.network for case in cases)
    with concurrent.futures.ThreadPoolExecutor(timing.at_once) as threads:
        jobs = [threads.submit(compile_all, name, network) for network in networks for name in names]
        for job in jobs:
            job.result()


def measure(
    part: str, cases: Sequence[Case], timing: Timing, records: Records, budget: Budget, say: Callable[[str], None]
) -> None:
    """Measures the cases that have no record yet, as many as the time allows.

    Args:
        part: name of the part in the records.
        cases: what to measure, the most important first.
        timing: how.
        records: where results are written.
        budget: the time for all.
        say: called with a line of text.
    """
    children: dict[str, Child] = {}
    latest = 0.0
    try:
        for case in cases:
            names = [
                name
                for name in timing.contenders
                if not _last_good(records, part, {**case.entries(), "contender": name})
            ]
            if not names:
                continue
            if budget.left() <= latest / 2:  # the first one also started the processes
                say(f"{part}: no time for {_title(case)}")
                continue
            begin = time.monotonic()
            for name in timing.contenders:  # all of them: ratios need the reference beside them
                if name not in children or not children[name].is_alive:
                    children[name] = timing.child(name)
            for line in _measure_case(part, case, children, timing, records, budget):
                say(line)
            latest = time.monotonic() - begin
    finally:
        for child in children.values():
            child.close()


def _measure_case(
    part: str, case: Case, children: dict[str, Child], timing: Timing, records: Records, budget: Budget
) -> Iterator[str]:
    """Measures one case, writes a record of each contender, and says what came of it."""
    for child in children.values():
        child.send(do="load", case=dataclasses.asdict(case))
    replies = {name: child.reply(budget.left()) for name, child in children.items()}
    turns: dict[str, list[float]] = {name: [] for name, reply in replies.items() if "error" not in reply}
    _check_parameters({name: replies[name]["parameters"] for name in turns}, case)
    steps = {}
    for name in turns:  # alone on the device, after all have compiled
        seconds = _run(children[name], replies[name], 2, budget)
        steps[name] = max(2, math.ceil(2 * timing.turn_seconds / seconds)) if seconds else 2
    names = list(turns)
    for number in range(timing.rounds if names else 0):
        if number and not budget.left():
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if "error" not in replies[name] and (seconds := _run(children[name], replies[name], steps[name], budget)):
                turns[name].append(seconds / steps[name])
    for name, reply in replies.items():
        speed: Record = {}
        if "error" not in reply:
            second, other = statistics.median(turns[name]), turns.get(REFERENCE, [])
            speed = {"steps_per_second": round(1 / second, 4), "images_per_second": round(case.batch / second, 3)}
            speed["steps_of_a_turn"] = steps[name]
            speed["turns"] = [round(value, 6) for value in turns[name]]
            if len(other) == len(turns[name]):
                ratios = [reference / value for value, reference in zip(turns[name], other, strict=True)]
                speed["speed_beside_torch_compile"] = round(statistics.median(ratios), 4)
        records.add(part, **case.entries(), contender=name, **reply, **speed)
        yield f"{part} {_title(case)} {name}: {reply.get('error') or str(speed['images_per_second']) + ' images/s'}"
    for name, child in children.items():
        if child.is_alive and replies[name].get("error") != "out of memory":
            child.send(do="drop")
            if "error" in child.reply(60):
                child.close()


def _run(child: Child, reply: Record, steps: int, budget: Budget) -> float | None:
    """The seconds of so many steps; if they fail, the error enters the contender's reply."""
    child.send(do="run", steps=steps)
    answer = child.reply(budget.left() + TURN_GRACE)
    if "error" in answer:
        reply["error"] = answer["error"]
        return None
    return float(answer["seconds"])


def _check_parameters(counts: dict[str, int], case: Case) -> None:
    """Refuses contenders that do not train the same network."""
    if len(set(counts.values())) > 1:
        raise ValueError(f"{_title(case)}: the contenders have other numbers of parameters: {counts}")


def _last_good(records: Records, part: str, entries: Record) -> Record | None:
    """The newest record of a contender that was measured, or whose memory was full."""
    record = records.last(part, **entries)
    return record if record and record.get("error") in (None, "out of memory") else None


def _title(case: Case) -> str:
    return f"{case.network} {case.precision}, batch {case.batch}, {case.size}x{case.size}"
