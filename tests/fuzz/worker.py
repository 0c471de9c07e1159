"""Reads, identifies and converts damaged files in a process that its starter watches: `python -m fuzz.worker`.

A request is a line `format number entry`; the answer a line of JSON: how it ended, seconds of the processor, and bytes of
memory at the peak above those before.
"""

import contextlib
import json
import os
import pathlib
import sys
import time
import traceback

from fuzz.forked_hdf5 import fork_from_now_on
from fuzz.inputs import Seeds

ENTRIES = ("read", "identify", "convert")
_STARTED = 50  # one file in so many has a child for HDF5 that is started, not forked


def _resident(word):
    with open("/proc/self/status") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(word)), 0)


def _forget_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def run(entry, name, path):
    """Calls one entry on a file, as a user would."""
    import converters

    if name == "prototxt" and entry != "convert":
        from converters.reading.caffe.prototxt import read_prototxt

        read_prototxt(path)
        return
    if name == "exported" and entry != "convert":
        from converters.reading.pytorch.exported_program import check_exported_program, is_exported_program

        if is_exported_program(path):
            list(check_exported_program(path))
        return
    if entry == "read":
        checkpoint = converters.read(path)
        for key in checkpoint:
            with contextlib.suppress(converters.ConversionError):
                _ = checkpoint[key]
        _ = checkpoint.description, checkpoint.others
    elif entry == "identify":
        converters.identify(path)
    elif name == "prototxt":
        converters.convert(path.with_suffix(".caffemodel"), prototxt=path)
    else:
        converters.convert(path)


def outcome(entry, name, path):
    """How an entry ended: "success", "refused", or what it raised beside ConversionError."""
    from converters.errors import ConversionError

    try:
        run(entry, name, path)
    except ConversionError:
        return "refused", ""
    except (Exception, SystemExit) as error:
        return type(error).__name__, traceback.format_exc(limit=-6)
    return "success", ""


def main():
    from converters.reading import hdf5_process

    seeds_root, scratch = map(pathlib.Path, sys.argv[1:3])
    seeds, warm, written = {}, set(), None
    started = fork_from_now_on()
    forked = hdf5_process._start
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    for line in sys.stdin:
        name, number, entry = line.split()
        if name not in seeds:
            seeds[name] = Seeds(seeds_root, name)
        if (name, entry) not in warm:  # what the first file imports is not the cost of a file
            outcome(entry, name, seeds[name].honest())
            warm.add((name, entry))
        hdf5_process._start = forked if int(number) % _STARTED else started
        if (name, number) != written:  # its entries follow each other
            path, written = seeds[name].write(int(number), scratch), (name, number)
        files = [path] if path.is_file() else []
        size = sum(file.stat().st_size for file in {*files, *scratch.iterdir()} if file.is_file())
        _forget_peak()
        before, begin = _resident("VmRSS"), time.process_time()
        kind, text = outcome(entry, name, path)
        seconds, peak = time.process_time() - begin, _resident("VmHWM") - before
        answer = {"kind": kind, "text": text, "seconds": seconds, "peak": peak, "size": size, "resident": before}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
