"""Commands that are killed, stopped, doubled, or have no room: nothing finished is lost, nothing half is taken for whole.

Commands run whole, in forks of a process that has loaded Keras. Each test continues in one folder, kill after kill; at the
end the same command runs undisturbed, and must leave what it leaves in an empty folder.
"""

import csv
import dataclasses
import io
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import pytest
import tensorflow as tf
from helpers import killed, run_command
from helpers.data_sets import scenes
from helpers.paths import ROOT

import converters
import tfseg

MOMENTS = 50
SAMPLE = ROOT / "examples" / "fcn_resnet18_w50_os8_camvid.pth"


def keras_file(path: pathlib.Path) -> Any:
    """What a `.keras` file holds, without the time at which it was written."""
    with zipfile.ZipFile(path) as archive:
        tensors = {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(
                lambda name, item: (
                    tensors.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
                )
            )
        config = archive.read("config.json").decode()
    return re.sub(r'"shared_object_id": \d+', "", config), tensors  # addresses in memory


def exported(path: pathlib.Path) -> Any:
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*"))
    return files, (path / "metadata.json").read_text(), keras_file(path / "model.keras")


def masks(path: pathlib.Path) -> Any:
    return {file.name: file.read_bytes() for file in path.glob("*.png")}


def figures(path: pathlib.Path) -> Any:
    return {key: value for key, value in json.loads(path.read_text()).items() if "seconds" not in key}


def run_folder(path: pathlib.Path) -> Any:
    states = {name: keras_file(path / name)[1] for name in ("last.keras", "best.keras")}
    with open(path / "log.csv", newline="") as file:
        log = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    return states, log


@dataclasses.dataclass
class Work:
    """A command and what it leaves.

    Attributes:
        command: its name.
        words: words of its command line; `{inputs}` and `{out}` stand for folders.
        result: name of its result in the folder `out`.
        read: what a finished result holds.
        parts: whether the result may be there in part: a folder of finished files, to which the next run adds.
        again: words that a second run needs to replace a finished result.
    """

    command: str
    words: tuple[str, ...]
    result: str
    read: Callable[[pathlib.Path], Any]
    parts: bool = False
    again: tuple[str, ...] = ()


WORKS = {
    work.command: work
    for work in (
        Work("convert", (str(SAMPLE), "--output={out}/street.keras"), "street.keras", keras_file, again=("--overwrite",)),
        Work("export", ("{inputs}/street.keras", "--output={out}/street", "--format=keras", "--format=saved_model"), "street", exported),
        Work("predict", ("--model={inputs}/street.keras", "{inputs}/photos", "--output={out}/maps"), "maps", masks, True),
        Work(
            "evaluate",
            ("{inputs}/last.keras", "--data={inputs}/data", "--classes=dark,bright", "--split=", "--json={out}/scores.json"),
            "scores.json",
            figures,
        ),
        Work(
            "inspect_data",
            ("{inputs}/data", "--classes=dark,bright", "--split=", "--json={out}/data.json"),
            "data.json",
            figures,
        ),
        Work(
            "train",
            (
                "{inputs}/data", "--classes=dark,bright", "--split=", "--val_split=val", "--model=fcn32s",
                "--options=width=0.0625,padding=same", "--crop=16,16", "--batch_size=2", "--epochs=4", "--run={out}/run",
            ),
            "run",
            run_folder,
            True,
        ),
    )
}  # fmt: skip


def saved_model(path: pathlib.Path) -> Any:
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*"))
    variables = tf.train.load_checkpoint(str(path / "1" / "variables" / "variables"))
    names = sorted(variables.get_variable_to_dtype_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"})
    assert names
    values = sorted(variables.get_tensor(name).tobytes() for name in names)  # Keras numbers them in any order
    return files, (path / "metadata.json").read_text(), values


# Commands that write less than those above: they are killed at each of these writes.
SMALL_WORKS = WORKS | {
    "convert": dataclasses.replace(
        WORKS["convert"], words=("{inputs}/small.safetensors", "--output={out}/street.keras")
    ),
    "export": Work(
        "export", ("{inputs}/last.keras", "--output={out}/street", "--format=saved_model"), "street", saved_model
    ),
    "train": dataclasses.replace(
        WORKS["train"], words=tuple(word.replace("epochs=4", "epochs=2") for word in WORKS["train"].words)
    ),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the sample model, photographs, a data set, and a network that was trained on it."""
    folder = tmp_path_factory.mktemp("inputs")
    scenes(folder / "data")
    (folder / "data" / "val.txt").write_text("s1\ns2\n")
    (folder / "photos").mkdir()
    for index in range(4):
        shutil.copy(folder / "data" / "images" / f"s{index}.png", folder / "photos")
    for command in ("convert", "train"):
        assert run(WORKS[command], folder, folder).code == 0
    shutil.copy(folder / "run" / "last.keras", folder)
    converters.export_weights(
        tfseg.VGG(11, width=1 / 16, include_top=True, num_classes=2), folder / "small.safetensors"
    )
    return folder


@pytest.fixture
def strace():
    """Skips a test where strace may not end processes."""
    if not killed.can_trace():
        pytest.skip("strace may not end processes here")


def words_of(work, inputs, out):
    words = [word.format(inputs=inputs, out=out) for word in work.words]
    return [*words, *(work.again if (out / work.result).exists() else ())]


def run(work, inputs, out, before=""):
    return run_command.run(f"tfseg_cli.{work.command}", *words_of(work, inputs, out), cwd=out, before=before)


def undisturbed(work, inputs, out):
    """What the command leaves in an empty folder, and the seconds that it takes."""
    out.mkdir()
    start = time.monotonic()
    ended = run(work, inputs, out)
    assert ended.code == 0, ended
    return work.read(out / work.result), time.monotonic() - start


def check_nothing_half(work, out, wanted):
    """Whatever has the name of a result is one."""
    result = out / work.result
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} <= {work.result}
    if work.parts:
        for path in result.glob("[!.]*"):
            if path.suffix == ".keras":
                keras_file(path)
            elif work.read is masks and path.suffix == ".png":
                assert path.read_bytes() == wanted[path.name]
    elif result.exists():
        assert work.read(result) == wanted


def check_end(work, inputs, out, wanted):
    """The undisturbed command leaves what it leaves in an empty folder."""
    ended = run(work, inputs, out)
    assert ended.code == 0 or "exist" in ended.err, ended
    assert work.read(out / work.result) == wanted
    assert [path for path in out.rglob(".*") if "partial" in path.name or "aside" in path.name] == []


@pytest.mark.full
@pytest.mark.parametrize("command", WORKS)
def test_killed_at_random_moments(inputs, tmp_path, command):
    work, out = WORKS[command], tmp_path / "out"
    wanted, seconds = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    kills = 0
    for moment in killed.moments(seconds, MOMENTS):
        ended = killed.end_command_after(f"tfseg_cli.{command}", words_of(work, inputs, out), out, moment)
        kills += ended.code == -signal.SIGKILL
        check_nothing_half(work, out, wanted)
        if ended.code == 0:
            shutil.rmtree(out)  # it ended before it was killed: once more, from the beginning
            out.mkdir()
    assert kills > MOMENTS / 2
    check_end(work, inputs, out, wanted)


@pytest.mark.full
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("command", WORKS)
def test_killed_at_system_calls(inputs, tmp_path, command):
    """At every call that changes names or waits for the disk."""
    work, out = WORKS[command], tmp_path / "out"
    wanted, _ = undisturbed(work, inputs, tmp_path / "whole")
    kills = 0
    for call in killed.NAMES:
        for count in range(1, 200):
            ended = killed_at(work, inputs, out, call, count, wanted)
            if ended.code == 0:
                break
            kills += 1
        check_end(work, inputs, out, wanted)
    assert kills > 5


@pytest.mark.full
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("command", WORKS)
def test_killed_at_writes(inputs, tmp_path, command):
    """At every call that writes into a file of the result, finished or not."""
    work, out = SMALL_WORKS[command], tmp_path / "out"
    wanted, _ = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    calls = killed.writes_of_command(f"tfseg_cli.{command}", words_of(work, inputs, out), out, out)
    endings = [killed_at(work, inputs, out, call, count, wanted).code != 0 for call, count in calls]
    assert sum(endings) > 0.9 * len(calls) > 0  # the number of a call in its thread may differ from run to run
    check_end(work, inputs, out, wanted)


def killed_at(work, inputs, out, call, count, wanted):
    """How a command ends that is killed at a system call, in an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    ended = killed.end_command_at_call(f"tfseg_cli.{work.command}", words_of(work, inputs, out), out, call, count)
    check_nothing_half(work, out, wanted)
    # The call may be that of a process which the command has started: then the command says so.
    assert ended.code in (0, -signal.SIGKILL) or "ended by signal 9" in ended.err, ended
    return ended


@pytest.mark.full
@pytest.mark.parametrize("command", WORKS)
def test_stopped_by_sigterm(inputs, tmp_path, command):
    work, out = WORKS[command], tmp_path / "out"
    wanted, seconds = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    for moment in killed.moments(seconds, 8, seed=1):
        killed.end_command_after(f"tfseg_cli.{command}", words_of(work, inputs, out), out, moment, signal.SIGTERM)
        check_nothing_half(work, out, wanted)
    check_end(work, inputs, out, wanted)


@pytest.mark.full
@pytest.mark.parametrize("command", WORKS)
@pytest.mark.parametrize("limit", [0, 1000, 300_000])
def test_without_room_it_ends_in_one_line_and_leaves_nothing_half(inputs, tmp_path, command, limit):
    """Files may not grow beyond a size, as on a full disk."""
    work, out = WORKS[command], tmp_path / "out"
    wanted, _ = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    before = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))"
    printed = tmp_path / "printed"
    printed.mkdir()
    process = run_command.begin(
        run_command.script_of(f"tfseg_cli.{command}", before), *words_of(work, inputs, out), cwd=out, outputs=printed
    )
    process.join(300)
    assert process.exitcode in (0, 1)
    check_nothing_half(work, out, wanted)
    assert [path for path in out.rglob(".*") if "partial" in path.name] == []
    check_end(work, inputs, out, wanted)


@pytest.mark.full
@pytest.mark.parametrize("command", WORKS)
def test_on_a_full_disk_it_ends_in_one_line_and_leaves_nothing_half(inputs, tmp_path, command):
    work, out = WORKS[command], tmp_path / "out"
    wanted, _ = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(out)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        ended = run(work, inputs, out)
        assert (ended.code, "No space left on device" in ended.err) in ((0, False), (1, True)), ended
        assert ended.err.count("\n") <= 1 or ended.code == 0, ended
        check_nothing_half(work, out, wanted)
        assert [path for path in out.rglob(".*") if "partial" in path.name] == []
        subprocess.run(["mount", "-o", "remount,size=500m", str(out)], check=True)
        check_end(work, inputs, out, wanted)
    finally:
        subprocess.run(["umount", "--lazy", str(out)], check=True)


@pytest.mark.full
@pytest.mark.parametrize("command", WORKS)
def test_two_at_once_on_one_result(inputs, tmp_path, command):
    work, out = WORKS[command], tmp_path / "out"
    wanted, _ = undisturbed(work, inputs, tmp_path / "whole")
    out.mkdir()
    words, processes, folders = words_of(work, inputs, out), [], []
    for index in range(2):
        folders.append(tmp_path / f"printed{index}")
        folders[-1].mkdir()
        script = run_command.script_of(f"tfseg_cli.{command}")
        processes.append(run_command.begin(script, *words, cwd=out, outputs=folders[-1]))
    for process in processes:
        process.join(300)
    ended = [run_command.ending(*pair) for pair in zip(processes, folders, strict=True)]
    assert min(command.code for command in ended) == 0, ended
    for each in ended:
        messages = [line for line in each.err.splitlines() if not line.endswith(" left")]  # without progress
        assert each.code == 0 or len(messages) == 1, each
    check_nothing_half(work, out, wanted)
    check_end(work, inputs, out, wanted)
