"""Damaged files of every format, for as long as one likes: `make fuzz SECONDS=3600`.

Every input ends as a success or as one ConversionError, in time and memory that its size allows. What does not is a
finding: its format, number and entry are printed and kept, and `--only=FORMAT/NUMBER/ENTRY` runs it again. A campaign
that was stopped continues where it was.
"""

import argparse
import collections
import json
import os
import pathlib
import select
import subprocess
import sys
import time

from fuzz.inputs import HDF5, MUTATIONS
from fuzz.seeds import write_seeds
from fuzz.worker import ENTRIES

SECONDS = {"read": 3.0, "identify": 5.0, "convert": 60.0}
"""Seconds of the processor that an entry may take for a small file; converting builds a network."""
_PATIENCE = 90  # seconds on the clock: the machine may be busy
_BASE, _EXPANSION = 96 << 20, 8
"""Bytes of memory: 64 MiB, those of Python's own making, and eight for each byte of the file."""
_NETWORK = 1 << 30  # Bytes that building may take.
_MOST_RESIDENT = 3 << 30  # A worker that has grown so far is replaced.
_CONVERTED = 500  # one input in so many is converted, too: each leaves memory behind
_HDF5_SHARE = 5  # one input in HDF5 for so many of another format: they take as long


class Worker:
    """A process that runs inputs, started when it is needed."""

    def __init__(self, seeds, scratch):
        self._command = [sys.executable, "-m", "fuzz.worker", str(seeds), str(scratch)]
        self._process = None

    def ask(self, name, number, entry):
        """The answer for an input; that it died or did not end is one, too."""
        if self._process is None:
            variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
            tests = str(pathlib.Path(__file__).parent.parent)
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=variables,
            )
        process = self._process
        process.stdin.write(f"{name} {number} {entry}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], _PATIENCE)[0]:
            self.end()
            return {"kind": "endless", "text": f"more than {_PATIENCE} s"}
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self._process = None
            return {"kind": f"died ({code})", "text": ""}
        answer = json.loads(line)
        if answer["resident"] > _MOST_RESIDENT:
            self.end()
        return answer

    def end(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def judge(entry, answer):
    """What is wrong with an answer; None for a good one."""
    if answer["kind"] not in ("success", "refused"):
        return answer["kind"]
    most = _BASE + _EXPANSION * answer["size"] + (_NETWORK if entry == "convert" else 0)
    if answer["seconds"] > SECONDS[entry]:
        return f"{answer['seconds']:.1f} s"
    if answer["peak"] > most:
        return f"{answer['peak'] >> 20} MiB for a file of {answer['size']} bytes"
    return None


class Campaign:
    """Counts of inputs and outcomes by format and entry, kept in a folder.

    folder: where the seeds, the counts and the findings are kept.
    """

    def __init__(self, folder, formats=tuple(MUTATIONS)):
        self.folder = pathlib.Path(folder)
        self.formats = formats
        write_seeds(self.folder / "seeds", formats)
        self._record = self.folder / "campaign.json"
        known = json.loads(self._record.read_text()) if self._record.is_file() else {"next": {}, "counts": {}}
        self.next = collections.Counter(known["next"])
        self.counts = collections.Counter(known["counts"])
        self.findings = []
        self._worker = Worker(self.folder / "seeds", self.folder / f"scratch-{os.getpid()}")

    def run(self, seconds, entries=ENTRIES, batch=20):
        """Runs inputs of all formats in turn for so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for name in self.formats:
                for _ in range(max(1, batch // _HDF5_SHARE) if name in HDF5 else batch):
                    self._one(name, entries)
                    if time.monotonic() > deadline:
                        break
            self._save()
        self._worker.end()
        return self.findings

    def _one(self, name, entries):
        number = self.next[name]
        self.next[name] += 1
        for entry in entries:
            if entry != "convert" or number % _CONVERTED == 0:
                self.try_one(name, number, entry)

    def try_one(self, name, number, entry):
        """Runs one input, and keeps it if it is a finding."""
        answer = self._worker.ask(name, number, entry)
        wrong = judge(entry, answer)
        self.counts[f"{name}/{entry}/{'finding' if wrong else answer['kind']}"] += 1
        if wrong:
            finding = f"{name}/{number}/{entry}: {wrong}\n{answer['text']}"
            self.findings.append(finding)
            with open(self.folder / "findings.txt", "a") as file:
                file.write(finding + "\n")
        return answer

    def _save(self):
        part = self._record.with_suffix(".part")
        part.write_text(json.dumps({"next": self.next, "counts": self.counts}))
        part.replace(self._record)

    def table(self):
        """Inputs and outcomes by format and entry, in lines."""
        rows = collections.defaultdict(collections.Counter)
        for key, count in self.counts.items():
            name, entry, kind = key.split("/")
            rows[name, entry][kind] += count
        lines = [f"{'format':15} {'entry':9} {'inputs':>9} {'success':>9} {'refused':>9} {'findings':>9}"]
        for (name, entry), row in sorted(rows.items()):
            counts = (row.total(), row["success"], row["refused"], row["finding"])
            lines.append(f"{name:15} {entry:9} " + " ".join(f"{count:9}" for count in counts))
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="out/fuzz")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--formats", default=",".join(MUTATIONS))
    parser.add_argument("--entries", default=",".join(ENTRIES))
    parser.add_argument("--only", help="one input: FORMAT/NUMBER/ENTRY")
    options = parser.parse_args()
    campaign = Campaign(options.folder, options.formats.split(","))
    if options.only:
        name, number, entry = options.only.split("/")
        print(json.dumps(campaign.try_one(name, int(number), entry), indent=1))
        return 0
    findings = campaign.run(options.seconds, options.entries.split(","))
    print(campaign.table())
    print(*findings, sep="\n")
    return len(findings) > 0


if __name__ == "__main__":
    sys.exit(main())
