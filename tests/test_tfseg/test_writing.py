"""Files and directories are written whole or not at all."""

import ctypes
import errno
import os
import pathlib
import subprocess
import sys
import time
import types

import pytest

from tfseg import halves
from tfseg.writing import WritingError, atomic, check_target


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text, directory):
    """Writes a file, or a directory with a file."""
    if directory:
        path.mkdir()
    (path / "file" if directory else path).write_text(text)


def content(path):
    return (path / "file" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("directory", [False, True])
def test_target_appears_when_the_block_succeeds(tmp_path, directory):
    target = tmp_path / "result.weights.h5"
    with atomic(target) as partial:
        assert partial.parent == tmp_path
        assert partial.name.endswith("result.weights.h5")  # writers look at the suffix
        write(partial, "new", directory)
        assert not target.exists()
    assert content(target) == "new"
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("directory", [False, True])
def test_existing_target_is_replaced_only_when_allowed(tmp_path, directory):
    target = tmp_path / "x"
    write(target, "old", directory)
    with pytest.raises(WritingError, match=r"x: exists already.*--overwrite \(overwrite=True\)"), atomic(target):
        pytest.fail("the body must not begin")
    with atomic(target, overwrite=True) as partial:
        write(partial, "new", directory)
        assert content(target) == "old"
    assert content(target) == "new"
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_failing_block_leaves_nothing(tmp_path, directory, failure):
    target = tmp_path / "x"
    write(target, "old", directory)

    def fail():
        with atomic(target, overwrite=True) as partial:
            write(partial, "half", directory)
            raise failure

    with pytest.raises(failure):
        fail()
    assert content(target) == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("directory", [False, True])
def test_failing_rename_leaves_the_old_content(tmp_path, monkeypatch, directory):
    target, replace = tmp_path / "x", os.replace
    monkeypatch.setattr("tfseg.writing._exchange", lambda path, other: False)
    write(target, "old", directory)

    def refuse(source, destination):
        if pathlib.Path(destination) == target and content(pathlib.Path(source)) == "new":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, destination)

    monkeypatch.setattr("tfseg.writing.os.replace", refuse)
    with (
        pytest.raises(PermissionError, match=r"Permission denied: '.*/x'"),
        atomic(target, overwrite=True) as partial,
    ):
        write(partial, "new", directory)
    assert content(target) == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_directory_is_replaced_in_one_step_where_the_system_can(tmp_path, monkeypatch, can_exchange):
    target, seen = tmp_path / "x", []
    write(target, "old", directory=True)
    replace = os.replace

    def watch(source, destination):
        seen.append((pathlib.Path(source) == target, target.exists()))
        replace(source, destination)

    monkeypatch.setattr("tfseg.writing.os.replace", watch)
    if not can_exchange:
        monkeypatch.setattr("tfseg.writing.ctypes.CDLL", lambda *_, **__: None)
    with atomic(target, overwrite=True) as partial:
        write(partial, "new", directory=True)
    assert content(target) == "new"
    assert names(tmp_path) == ["x"]
    assert seen == ([] if can_exchange else [(True, True), (False, False)])


def test_files_and_names_reach_the_disk_before_and_after_the_rename(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor):
        assert (tmp_path / "x").exists() == (os.fstat(descriptor).st_ino == tmp_path.stat().st_ino)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("tfseg.writing.os.fsync", fsync)
    with atomic(tmp_path / "x") as partial:
        (partial / "inner").mkdir(parents=True)
        files = [partial / "a", partial / "inner" / "b"]
        for file in files:
            file.write_text("text")
    inside = [tmp_path / "x", *(tmp_path / "x").rglob("*")]
    assert sorted(synced[:-1]) == sorted(path.stat().st_ino for path in inside)
    assert synced[-1] == tmp_path.stat().st_ino


def test_target_written_by_another_process_in_the_meantime_stays(tmp_path):
    def write_both():
        with atomic(tmp_path / "x") as partial:
            partial.write_text("mine")
            (tmp_path / "x").write_text("other")

    with pytest.raises(WritingError, match="exists already"):
        write_both()
    assert content(tmp_path / "x") == "other"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/x", "missing does not exist. Create it first"),
        ("file/x", "file does not exist"),
        ("..", "expected the name of a file"),
        (".", "expected the name of a file"),
        ("file", "exists already"),
    ],
)
def test_unusable_target_is_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_text("")
    with pytest.raises(WritingError, match=message):
        check_target(name)
    with pytest.raises(WritingError, match=message), atomic(name):
        pytest.fail("the body must not begin")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["x", "x" * 256])
def test_errors_of_the_system_name_the_target(tmp_path, name):
    def write_text():
        with atomic(tmp_path / name) as partial:
            if name != "x":
                partial.write_text("too long a name")

    with pytest.raises(OSError, match=rf"(No such file or directory|File name too long): '.*/{name}'$"):
        write_text()
    assert names(tmp_path) == []


def test_errors_about_other_files_name_those(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'.*/source'$"), atomic(tmp_path / "x") as partial:
        partial.write_text((tmp_path / "source").read_text())


def half_of(process, path, kind="partial", place=None):
    """The half of a process on this machine, or in another place."""
    name = halves.new_half(path, kind).name.split(".")
    name[2:5] = [place or name[2], str(process), name[4][::-1]]  # not one that this process is writing
    return path.with_name(".".join(name))


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    return subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("directory", [False, True])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, ended, directory):
    target = tmp_path / "x"
    left = [half_of(int(ended), target), half_of(os.getpid(), target)]  # a number may be given again
    others = [half_of(int(ended), tmp_path / "y"), half_of(1, target), half_of(5, target, place="0" * 8)]
    for half in left + others:
        write(half, "half", directory)
    with atomic(target) as partial:
        assert names(tmp_path) == sorted(half.name for half in others)
        partial.write_text("new")
        halves.sweep([target])  # another thread
        assert partial.exists()
    for file in (others[2], others[2] / "file"):
        if file.exists():
            os.utime(file, (0, time.time() - 25 * 3600))
    halves.sweep([target])
    assert names(tmp_path) == sorted([*(half.name for half in others[:2]), "x"])


@pytest.mark.parametrize("finished", [False, True])
def test_what_a_killed_writer_had_moved_aside_is_put_back(tmp_path, ended, finished):
    target = tmp_path / "x"
    write(half_of(int(ended), target, "aside"), "old", directory=True)
    if finished:
        write(target, "new", directory=True)
    with pytest.raises(WritingError, match="exists already"), atomic(target):
        pytest.fail("the body must not begin")
    assert names(tmp_path) == ["x"]
    assert content(target) == ("new" if finished else "old")


def test_unfinished_files_of_killed_processes_are_removed(tmp_path):
    unfinished = []
    for name, directory in (("a.png", False), ("a.png", True), ("other.png", False)):
        with pytest.raises(FileNotFoundError), atomic(tmp_path / name) as partial:
            unfinished.append(partial)
        write(partial, "half", directory)
    (tmp_path / ".notes.a.png").write_text("")
    (tmp_path / "a.png").write_text("whole")
    halves.sweep([tmp_path / "a.png", tmp_path / "b.png"])
    assert names(tmp_path) == sorted([unfinished[2].name, ".notes.a.png", "a.png"])


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".png", "ä" * 124 + ".keras", "two\nlines.png", "x" * 200 + "." + "y" * 54]
)
def test_halves_of_strange_names_are_written_and_swept(tmp_path, ended, name):
    target = tmp_path / name
    half_of(int(ended), target).write_text("half")
    half_of(int(ended), target, "aside").write_text("old")
    with pytest.raises(WritingError, match="exists already"), atomic(target):
        pytest.fail("the body must not begin")
    assert names(tmp_path) == [name]
    assert content(target) == "old"
    with atomic(target, overwrite=True) as partial:
        assert len(name) > 200 + 50 or partial.suffix == target.suffix
        partial.write_text("new")
    assert names(tmp_path) == [name]
    assert content(target) == "new"


def test_another_thread_does_not_sweep_what_is_written_by_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with atomic("x") as partial:
        partial.write_text("new")
        halves.sweep([tmp_path / "x"])
        halves.sweep([tmp_path / "link" / "x"])
    assert content(tmp_path / "x") == "new"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP, errno.EIO])
def test_a_disk_or_a_guard_that_refuses_to_exchange_is_no_failure(tmp_path, monkeypatch, number):
    def renameat2(*_):
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr("tfseg.writing.ctypes.CDLL", lambda *_, **__: types.SimpleNamespace(renameat2=renameat2))
    write(tmp_path / "x", "old", directory=True)
    with atomic(tmp_path / "x", overwrite=True) as partial:
        write(partial, "new", directory=True)
    assert content(tmp_path / "x") == "new"
    assert names(tmp_path) == ["x"]
