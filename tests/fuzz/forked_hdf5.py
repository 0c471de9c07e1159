"""The child that looks into HDF5 files, forked from a process that has imported h5py: hundreds of files in a second.

The child's own program runs, with its limits; only the start of Python and the imports are spared.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys


class _Forked:
    """What `subprocess.Popen` says of a child, of one that another process has forked."""

    def __init__(self, mother):
        (stdin, to_child), (from_child, stdout) = os.pipe(), os.pipe()
        self.stdin, self.stdout = os.fdopen(to_child, "wb", 0), os.fdopen(from_child, "rb", 0)
        socket.send_fds(mother, [b"fork"], [stdin, stdout])
        os.close(stdin)
        os.close(stdout)
        self._process = os.pidfd_open(int(mother.recv(20)))  # a number may be used again, this one not

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def wait(self):
        if self._process >= 0:
            os.close(self._process)
            self._process = -1
        return "unknown"  # its mother knows it


def fork_from_now_on():
    """Lets `converters` fork its children in place of starting each.

    Returns: what starts them.
    """
    from converters.reading import hdf5_process

    started, start, modules = [], hdf5_process._start, hdf5_process._modules()

    def fork():
        if not started:
            own_end, childs_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            program = pathlib.Path(hdf5_process.__file__)
            command = [sys.executable, "-I", "-S", __file__, str(childs_end.fileno()), *modules, str(program.parent)]
            variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_USE_FILE_LOCKING": "FALSE"}
            started[:] = own_end, subprocess.Popen(command, pass_fds=[childs_end.fileno()], env=variables)
            childs_end.close()
        return _Forked(started[0])

    hdf5_process._start = fork
    return start


def _mother():
    number, *folders = sys.argv[1:]
    sys.path[:] = folders
    import h5py  # noqa: F401  once for all children
    import hdf5_child

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children leave nothing
    requests = socket.socket(fileno=int(number))
    while True:
        content, pipes, _, _ = socket.recv_fds(requests, 20, 2)
        if not content:
            return
        pid = os.fork()
        if not pid:
            requests.close()
            for place, pipe in enumerate(pipes):
                os.dup2(pipe, place)
                os.close(pipe)
            hdf5_child._serve()
            os._exit(0)
        for pipe in pipes:
            os.close(pipe)
        requests.send(str(pid).encode())


if __name__ == "__main__":
    _mother()
