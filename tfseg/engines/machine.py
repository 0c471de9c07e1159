"""What of this machine decides how fast an engine is."""

import functools
import os
import pathlib
import platform
import re
import sys


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int | None:
    """The threads that a user allows, by `tf.config.threading` or as on a Ray worker; None: all."""
    limit = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        limit = tf.config.threading.get_intra_op_parallelism_threads() or limit
    return limit or None


@functools.cache
def processor() -> str:
    """The name of the processor."""
    facts = pathlib.Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", facts.read_text()) if facts.is_file() else None
    return match[1].strip() if match else platform.processor() or platform.machine()


@functools.cache
def instructions() -> str:
    """The instructions for matrices and short floats: two processors may have one name."""
    facts = pathlib.Path("/proc/cpuinfo")
    names = set(re.findall(r"\b(?:amx|avx512|avx)\w*\b", facts.read_text())) if facts.is_file() else set()
    return " ".join(sorted(names))
