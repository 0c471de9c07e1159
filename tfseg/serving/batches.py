"""Requests that wait for the model: those for images of one size are computed together."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfseg.serving.pace import Pace

Arrays = Mapping[str, np.ndarray]
Run = Callable[[str, Arrays], dict[str, np.ndarray]]
"""A function from the name of a signature and its inputs to its outputs."""

# What `tfseg.export` writes: they compute each image by itself. Other signatures may not.
_BY_IMAGE = ("serving_default", "logits", "probabilities", "classes")


@dataclasses.dataclass(eq=False)
class _Job:
    signature: str
    inputs: Arrays
    result: "asyncio.Future[dict[str, np.ndarray]]"

    @property
    def kind(self) -> tuple[object, ...]:
        """Jobs of one kind can be computed together."""
        return self.signature, *((name, value.dtype, value.shape[1:]) for name, value in self.inputs.items())

    @property
    def pixels(self) -> int:
        return sum(int(np.prod(value.shape[:-1])) for value in self.inputs.values())


class Batches:
    """Runs a model in one thread, which uses all cores by itself. Requests that wait share a run where that is faster.

    Args:
        run: the model.
        batch: requests that share a run at most.
        max_pixels: pixels of a run with several requests at most.
    """

    def __init__(self, run: Run, batch: int, max_pixels: int) -> None:
        self._run, self._max_pixels = run, max_pixels
        self._pace = Pace(batch)
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="model")
        self._waiting: collections.deque[_Job] = collections.deque()
        self._worker: asyncio.Task[None] | None = None

    async def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """The outputs of a signature. A request that is canceled while it waits is not computed.

        Args:
            signature: name of the signature.
            inputs: input name -> array.
        """
        loop = asyncio.get_running_loop()
        job = _Job(signature, inputs, loop.create_future())
        self._waiting.append(job)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await job.result

    def stop(self) -> None:
        """Computes nothing more."""
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)  # it may compute for a client that hung up

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while jobs := self._next():
            results = await loop.run_in_executor(self._thread, self._compute, jobs)
            for job, result in zip(jobs, results, strict=True):
                if job.result.done():  # canceled in the meantime
                    continue
                if isinstance(result, Exception):
                    job.result.set_exception(result)
                else:
                    job.result.set_result(result)

    def _next(self) -> list[_Job]:
        """The job that has waited longest, and others of its kind."""
        waiting = [job for job in self._waiting if not job.result.done()]
        chosen = waiting[:1]
        if chosen and chosen[0].signature in _BY_IMAGE:
            together = self._within_limits([job for job in waiting if job.kind == chosen[0].kind])
            chosen = together[: self._pace.number(chosen[0].kind, len(together))]
        self._waiting = collections.deque(job for job in waiting if job not in chosen)
        return chosen

    def _within_limits(self, jobs: Sequence[_Job]) -> list[_Job]:
        """The first job, and those after it that a run has room for."""
        chosen, pixels = list(jobs[:1]), jobs[0].pixels
        for job in jobs[1:]:
            if pixels + job.pixels <= self._max_pixels:
                chosen.append(job)
                pixels += job.pixels
        return chosen

    def _compute(self, jobs: Sequence[_Job]) -> list[dict[str, np.ndarray] | Exception]:
        begin = time.perf_counter()
        results = self._results(jobs)
        # Inputs of other signatures may have no first axis of images, and never share a run.
        if jobs[0].signature in _BY_IMAGE and not any(isinstance(result, Exception) for result in results):
            images = sum(len(next(iter(job.inputs.values()))) for job in jobs)
            self._pace.note(jobs[0].kind, len(jobs), images=images, seconds=time.perf_counter() - begin)
        return results

    def _results(self, jobs: Sequence[_Job]) -> list[dict[str, np.ndarray] | Exception]:
        if len(jobs) > 1:
            outputs = self._outcome(jobs[0].signature, *(job.inputs for job in jobs))
            if not isinstance(outputs, Exception):
                counts = [len(next(iter(job.inputs.values()))) for job in jobs]
                ends = np.cumsum(counts)
                return [
                    {name: value[end - count : end] for name, value in outputs.items()}
                    for count, end in zip(counts, ends, strict=True)
                ]
        return [self._outcome(job.signature, job.inputs) for job in jobs]

    def _outcome(self, signature: str, *inputs: Arrays) -> dict[str, np.ndarray] | Exception:
        """The outputs for the inputs of one or several jobs, or why there are none. Nothing is raised."""
        try:
            if len(inputs) == 1:
                return self._run(signature, inputs[0])
            together = {name: np.concatenate([values[name] for values in inputs]) for name in inputs[0]}
            return self._run(signature, together)
        except Exception as error:
            return error
