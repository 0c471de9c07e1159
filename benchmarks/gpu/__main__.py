"""tfseg on an accelerator: `python benchmarks/gpu PART ... --out=FOLDER`, or all parts without a name.

Parts, in the order in which they run:

* prepare: compiles what "training" and "inference" measure, several networks at once.
* training: training throughput of ResNet-50 at output stride 8 with an FCN head, and of FCN-8s, beside PyTorch.
* inference: inference throughput of the same.
* pace: how long an epoch of each training takes.
* segmenters: trains FCN-8s by three recipes, and DeepLabV3+ from the sample; writes class maps, curves and weights.
* score: scores the class maps that are in the folder.
* parity: logits of 25 networks beside the CPU's.

Results are lines of JSON in FOLDER/results.jsonl, written as they come. A call that is cut loses only what it was
measuring: the same call again continues. The tables at the end are those of all records in the folder.

`--tiny` tries everything on a CPU in minutes, with short networks and small images. Its figures say nothing.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

if __name__ == "__main__":
    sys.path[0] = str(pathlib.Path(__file__).parents[2])  # the folder of this file hides nothing from the others

from benchmarks.gpu import parity, segmenters
from benchmarks.gpu.contenders import CONTENDERS
from benchmarks.gpu.nets import NETWORKS
from benchmarks.gpu.plans import PLANS
from benchmarks.gpu.processes import ROOT, end_jobs, environment, run_job
from benchmarks.gpu.records import Budget, Records
from benchmarks.gpu.speed import Timing, cases_of, measure, prepare
from benchmarks.gpu.tables import tables

PARTS = "prepare", "training", "inference", "pace", "segmenters", "score", "parity"
TINY = {
    "size": 64,
    "training_steps": "bfloat16:1,tf32:1,float32:1,float32:2",
    "inference_steps": "float32:1,float32:2",
    "rounds": 2,
    "turn_seconds": 0.05,
    "compiler": "eager",
    "parity_size": "33x47",
    "parity_width": 1 / 16,
    "parity_networks": "fcn8s,fcn_resnet18,segformer_mit_b0",
    "width": 1 / 16,
    "fc_units": 16,
    "crop": "32x48",
    "batch": 2,
    "dtype": "float32",
    "passes": 1,
    "most_epochs": 2,
    "at_once": 1,
}


def parser() -> argparse.ArgumentParser:
    """The flags."""
    result = argparse.ArgumentParser(
        "python benchmarks/gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = result.add_argument
    flag("parts", nargs="*", metavar="PART", help=f"what to run: {', '.join(PARTS)}; by default all")
    flag("--out", required=True, type=pathlib.Path, help="folder of results")
    flag("--tiny", action="store_true", help="short networks and small images; other flags still count")
    for part, seconds in zip(PARTS, (120, 170, 80, 70, 200, 20, 90), strict=True):
        flag(f"--{part}_seconds", type=float, default=seconds, help=f'time for "{part}" (default: %(default)s)')
    flag("--at_once", type=int, default=4, help="processes that compile, or compare, at the same time")
    flag("--networks", default=",".join(NETWORKS), help="networks whose speed is measured (default: %(default)s)")
    flag("--contenders", default=",".join(CONTENDERS), help="what competes (default: %(default)s)")
    flag("--size", type=int, default=512, help="height and width of images, in pixels (default: %(default)s)")
    steps = "precisions and batches, the most important first (default: %(default)s); tf32 and float32 are float32"
    flag("--training_steps", default="bfloat16:16,tf32:16,float32:16,bfloat16:32,bfloat16:64", help=steps)
    flag("--inference_steps", default="bfloat16:1,bfloat16:16,tf32:1,tf32:16", help=f"{steps} with TF32 allowed or off")
    flag("--rounds", type=int, default=3, help="turns of each contender (default: %(default)s)")
    flag("--turn_seconds", type=float, default=0.6, help="length of a turn (default: %(default)s)")
    flag("--compiler", default="inductor", help="backend of torch.compile (default: %(default)s)")
    flag("--data", help='directory of CamVid, for "pace", "segmenters" and "score"')
    flag("--vgg16", help="ImageNet's VGG16, any file that tfseg reads, such as Caffe's; by default weights are random")
    sample = ROOT / "examples" / "fcn_resnet18_w50_os8_camvid.pth"
    flag(
        "--sample", default=str(sample), help="the weights that DeepLabV3+ begins with (default: the project's sample)"
    )
    flag("--plans", default=",".join(PLANS), help="what is trained (default: %(default)s)")
    flag("--epochs", type=int, default=0, help="number of epochs (default: what the time allows, by the pace)")
    flag("--most_epochs", type=int, default=60, help="largest number of epochs (default: %(default)s)")
    flag("--passes", type=int, default=3, help="passes over the photographs in an epoch (default: %(default)s)")
    flag("--crop", default="352x480", help="height and width of a crop (default: %(default)s)")
    flag("--batch", type=int, default=8, help="images in a step of a training (default: %(default)s)")
    flag("--dtype", default="mixed_bfloat16", help="dtype of the trainings (default: %(default)s)")
    flag("--fc_units", type=int, default=1024, help="units of fc6 and fc7 of the FCN-8s (default: %(default)s)")
    flag("--width", type=float, default=1.0, help="factor of the channels of the FCN-8s (default: %(default)s)")
    flag("--backend", default="jax", help="Keras's backend of the trainings (default: %(default)s)")
    flag("--parity_networks", default=",".join(parity.NETWORKS), help="networks that are compared with the CPU")
    flag("--parity_size", default="160x192", help="height and width of their image (default: %(default)s)")
    flag("--parity_width", type=float, default=1.0, help="factor of their channels (default: %(default)s)")
    return result


def say(line: str) -> None:
    print(line, flush=True)


def steps_of(text: str) -> list[tuple[str, int]]:
    """Pairs of a precision and a batch, from a text such as "bfloat16:16,float32:8".

    Args:
        text: value of a flag.
    Raises:
        ValueError: another precision.
    """
    pairs = [part.partition(":")[::2] for part in text.split(",")]
    for precision, _ in pairs:
        if precision not in ("bfloat16", "tf32", "float32"):
            raise ValueError(f"A precision is bfloat16, tf32 or float32. Received: {precision!r}")
    return [(precision, int(batch)) for precision, batch in pairs]


def size_of(text: str) -> tuple[int, int]:
    """Height and width, from a text such as "352x480".

    Args:
        text: value of a flag.
    """
    height, _, width = text.partition("x")
    return int(height), int(width)


def run_speed(part: str, options: argparse.Namespace, records: Records) -> None:
    """Runs "prepare", "training" or "inference".

    Args:
        part: name of the part.
        options: the flags.
        records: where results are written.
    """
    contenders = options.contenders.split(",")
    timing = Timing(
        options.rounds, options.turn_seconds, contenders, options.compiler, options.at_once, options.out.resolve()
    )
    networks = options.networks.split(",")
    cases = {
        task: cases_of(task, networks, steps_of(steps), options.size, options.tiny)
        for task, steps in (("training", options.training_steps), ("inference", options.inference_steps))
    }
    budget = Budget(getattr(options, f"{part}_seconds"))
    if part == "prepare":
        prepare([case for task in cases.values() for case in task], timing, records, budget, say)
        return
    for name in contenders:
        if not records.last("machine", contender=name):
            child = timing.child(name)
            child.send(do="describe")
            records.add("machine", contender=name, **child.reply(min(60, budget.left())))
            child.close()
    measure(part, cases[part], timing, records, budget, say)


def run_trainings(part: str, options: argparse.Namespace, records: Records) -> None:
    """Runs "pace" or "segmenters".

    Args:
        part: name of the part.
        options: the flags.
        records: where results are written.
    """
    names, sources = options.plans.split(","), {"vgg16": options.vgg16, "sample": options.sample}
    settings = segmenters.settings_of(
        names,
        {key: path and str(pathlib.Path(path).resolve()) for key, path in sources.items()},
        options.out.resolve(),
        records,
        data=str(pathlib.Path(options.data).resolve()),
        crop=size_of(options.crop),
        batch=options.batch,
        dtype=options.dtype,
        width=options.width,
        fc_units=options.fc_units,
        passes=options.passes,
    )
    trainings = segmenters.Trainings(settings, options.out.resolve(), options.backend, options.most_epochs)
    budget = Budget(getattr(options, f"{part}_seconds"))
    if part == "pace":
        segmenters.measure_pace(trainings, records, budget, say)
    else:
        segmenters.train_all(trainings, records, budget, say, options.epochs)


def run_score(options: argparse.Namespace, records: Records) -> None:
    """Runs "score".

    Args:
        options: the flags.
        records: where results are written.
    """
    folders = sorted(str(path) for path in options.out.resolve().glob("segmenters/*/classes"))
    env = environment(options.backend, options.out.resolve() / "compiled")
    arguments = (str(records.path), str(pathlib.Path(options.data).resolve()), *folders)
    job = run_job("scoring", *arguments, env=env, log=options.out / "logs" / "score.log")
    if any(end_jobs([job], options.score_seconds, 5)):
        say("score: no result, see logs")


def run_parity(options: argparse.Namespace, records: Records) -> None:
    """Runs "parity".

    Args:
        options: the flags.
        records: where results are written.
    """
    height, width = size_of(options.parity_size)
    entries = {"height": height, "width": width, "width_factor": options.parity_width, "error": None}
    names = [name for name in options.parity_networks.split(",") if not records.last("parity", network=name, **entries)]
    budget, jobs = Budget(options.parity_seconds), []
    env = environment("jax", options.out.resolve() / "compiled", memory_share=0.9 / options.at_once)
    for number in range(min(options.at_once, len(names))):
        arguments = (str(records.path), str(height), str(width), str(options.parity_width))
        log = options.out / "logs" / f"parity_{number}.log"
        jobs.append(run_job("parity", *arguments, *names[number :: options.at_once], env=env, log=log))
    if any(end_jobs(jobs, budget.left(), 5)):
        say("parity: a process ended early, see logs")


def main(words: Sequence[str] | None = None) -> None:
    """Runs the parts that the command line names, and prints the tables.

    Args:
        words: the command line; None: that of this process.
    """
    flags = parser()
    if "--tiny" in (sys.argv[1:] if words is None else words):
        flags.set_defaults(**TINY)
    options = flags.parse_args(words)
    parts = options.parts or PARTS
    for part in parts:
        if part not in PARTS:
            flags.error(f"a part is one of {', '.join(PARTS)}. Received: {part!r}")
    if {"pace", "segmenters", "score"} & set(parts) and not options.data:
        flags.error("--data is missing: the directory of CamVid")
    records = Records(options.out.resolve() / "results.jsonl")
    for part in PARTS:
        if part in parts:
            say(f"== {part}")
            if part in ("prepare", "training", "inference"):
                run_speed(part, options, records)
            elif part in ("pace", "segmenters"):
                run_trainings(part, options, records)
            elif part == "score":
                run_score(options, records)
            else:
                run_parity(options, records)
    for line in tables(records):
        say(line)


if __name__ == "__main__":
    main()
