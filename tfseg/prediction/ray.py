"""A folder of photographs predicted by a Ray cluster: on this machine, or one that runs already."""

import json
import logging
import os
import pathlib
import tempfile
from typing import NamedTuple

import keras

from tfseg.prediction.files import CHUNK, predict_jobs
from tfseg.prediction.folders import Job


class Ray(NamedTuple):
    """The engine of `tfseg.predict_files` that hands chunks of images to the workers of a Ray cluster.

    Every worker loads the model once. What a worker had in hand when it died is done anew by another. The machines of
    the cluster need tfseg, and see images and results under the same paths; the model travels by itself.

    Attributes:
        address: of a cluster that runs ("auto", "ray://host:10001"); None: the one that this process is connected to,
            or one started on this machine for the while.
        workers: how many; None: as many as the cluster's cores or GPUs allow.
        cpus: cores of each.
        gpus: GPUs of each.
    Reference: https://docs.ray.io/en/latest/data/batch_inference.html
    """

    address: str | None = None
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0

    def __call__(self, model, jobs, settings):
        """Yields what `tfseg.prediction.files.predict_jobs` yields, chunk by chunk.

        Raises:
            ValueError: Ray is not installed, there is no such cluster, it has no room for the workers, or the model
                does not come back from its .keras file.
        """
        try:
            import ray
        except ImportError as error:
            raise ValueError('The engine "ray" needs Ray Data: pip install "tfseg[ray]".') from error
        mine = not ray.is_initialized()
        if mine:
            self._connect(ray)
        try:
            yield from self._work(ray, model, jobs, settings)
        finally:
            if mine:
                ray.shutdown()

    def _connect(self, ray):
        try:
            ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # for every way not to be there Ray has an exception of its own
            raise ValueError(f"No Ray cluster at {self.address or 'this machine'}: {error}") from error

    def _work(self, ray, model, jobs, settings):
        chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
        logging.getLogger("ray.data").setLevel("ERROR")  # we have a progress line of our own
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items([{"jobs": _packed(chunk)} for chunk in chunks], override_num_blocks=len(chunks))
        done = rows.map_batches(
            _Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self._room(ray.cluster_resources()), len(chunks))),
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            fn_constructor_args=(ray.put(_archive(model)), settings),
            # More threads than its cores would cost the neighbours theirs. Keras's backend is ours.
            runtime_env={
                "env_vars": {
                    "KERAS_BACKEND": keras.backend.backend(),
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    "TF_NUM_INTRAOP_THREADS": str(self.cpus),
                    "TF_NUM_INTEROP_THREADS": str(self.cpus),
                    "OMP_NUM_THREADS": str(self.cpus),
                }
            },
        )
        for row in done.iter_rows():
            for image, reason in json.loads(row["results"]):
                yield pathlib.Path(image), reason

    def _room(self, resources):
        """How many workers there are to be."""
        room = resources.get("CPU", 0) // self.cpus
        if self.gpus:
            room = min(room, resources.get("GPU", 0) // self.gpus)
        if room < (self.workers or 1):
            raise ValueError(
                f"The Ray cluster has room for {int(room)} workers of {self.cpus} CPUs and {self.gpus} GPUs. "
                f"Received: workers={self.workers}"
            )
        return self.workers or int(room)


class _Worker:
    """One process of the cluster, with the model in memory."""

    def __init__(self, archive, settings):
        import ray

        self._model, self._settings = _restored(ray.get(archive)), settings

    def __call__(self, batch):
        results = [
            [(str(image), reason) for image, reason in predict_jobs(self._model, _unpacked(jobs), self._settings)]
            for jobs in batch["jobs"]
        ]
        return {"results": [json.dumps(one) for one in results]}


def _packed(jobs):
    """Jobs as text, which Ray stores as it is; absolute, as a worker runs elsewhere."""
    return json.dumps([[path and os.path.abspath(path) for path in job] for job in jobs])


def _unpacked(text):
    return [Job(*(path and pathlib.Path(path) for path in paths)) for paths in json.loads(text)]


def _archive(model):
    """The bytes of its .keras file, which loads: better that this process says no than every worker."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        try:
            model.save(path)
            archive = path.read_bytes()
            _restored(archive)
        except Exception as error:  # a layer of the user's own may raise anything
            raise ValueError(f"The model {model.name!r} cannot travel as a .keras file: {error}") from error
    return archive


def _restored(archive):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        path.write_bytes(archive)
        return keras.saving.load_model(path, compile=False)
