"""A folder of images on a Ray cluster: one on this machine, or one that runs already."""

import dataclasses
import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import keras

from tfseg.prediction.batches import CHUNK, PredictionSettings, TaskResult, predict_tasks
from tfseg.prediction.fingerprint import ImageMark
from tfseg.prediction.folders import ImageTask


@dataclasses.dataclass(frozen=True)
class Ray:
    """The `cluster` of `tfseg.predict_files` that hands chunks of images to the workers of a Ray cluster.

    Every worker loads the model once. If a worker dies, another one repeats its chunk. The machines of the cluster need
    tfseg, and must see images and results under the same paths; the model is sent to them.

    Attributes:
        address: address of a running cluster ("auto", "ray://host:10001"). None: the cluster that this process is
            connected to, or else a new one on this machine, which ends with the work.
        workers: number of workers; None: as many as the cores or GPUs of the cluster allow.
        cpus: CPU cores of each worker.
        gpus: GPUs of each worker.
    Reference: https://docs.ray.io/en/latest/data/batch_inference.html

    Example:
        >>> from tfseg.prediction.ray import Ray
        >>> Ray("auto", workers=4)
        Ray(address='auto', workers=4, cpus=1, gpus=0)
    """

    address: str | None = None
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0

    def __call__(
        self, model: keras.Model, tasks: Sequence[ImageTask], settings: PredictionSettings
    ) -> Generator[TaskResult, None, None]:
        """Yields what `tfseg.prediction.batches.predict_tasks` yields, chunk by chunk.

        Args:
            model: segmentation model.
            tasks: images, and the files to write for them.
            settings: how the model sees the images.
        Raises:
            ValueError: Ray is not installed; there is no cluster at the address; it has no room for the workers; or the
                model cannot be saved and loaded again.
        """
        try:
            import ray
        except ImportError as error:
            raise ValueError('The cluster "ray" needs Ray Data: pip install "tfseg[ray]".') from error
        starts_cluster = not ray.is_initialized()
        if starts_cluster:
            self._connect(ray)
        try:
            yield from self._work(ray, model, tasks, settings)
        finally:
            if starts_cluster:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        try:
            ray.init(self.address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray has many types of exceptions for a cluster that does not answer
            raise ValueError(f"No Ray cluster at {self.address or 'this machine'}: {error}") from error

    def _work(
        self, ray: Any, model: keras.Model, tasks: Sequence[ImageTask], settings: PredictionSettings
    ) -> Iterator[TaskResult]:
        chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]
        logging.getLogger("ray.data").setLevel("ERROR")  # `predict_files` shows the progress
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items([{"tasks": packed(chunk)} for chunk in chunks], override_num_blocks=len(chunks))
        done = rows.map_batches(
            _Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.count_workers(ray.cluster_resources()), len(chunks))),
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            fn_constructor_args=(ray.put(model_bytes(model)), settings),
            # A worker with more threads than cores would slow down the other workers. The workers use the same Keras
            # backend as this process.
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
        images = {os.path.abspath(task.image): task.image for task in tasks}  # the workers have absolute paths
        for row in done.iter_rows():
            for image, reason, mark in json.loads(row["results"]):
                yield TaskResult(images[image], reason, mark and ImageMark(*mark))

    def count_workers(self, resources: dict[str, float]) -> int:
        """How many workers there will be.

        Args:
            resources: "CPU" and "GPU" of the cluster -> how many it has.
        Raises:
            ValueError: the cluster has no room for the workers.
        """
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

    def __init__(self, model: Any, settings: PredictionSettings) -> None:
        import ray

        self._model, self._settings = model_from_bytes(ray.get(model)), settings

    def __call__(self, batch: dict[str, Iterable[str]]) -> dict[str, list[str]]:
        results = [
            [(str(image), *rest) for image, *rest in predict_tasks(self._model, unpacked(tasks), self._settings)]
            for tasks in batch["tasks"]
        ]
        return {"results": [json.dumps(result) for result in results]}


def packed(tasks: Iterable[ImageTask]) -> str:
    """Tasks as text, which Ray stores unchanged; with absolute paths, because a worker runs in another directory.

    Args:
        tasks: images, and the files to write for them.
    """
    return json.dumps([[path and os.path.abspath(path) for path in task] for task in tasks])


def unpacked(text: str) -> list[ImageTask]:
    """The tasks that `packed` has turned into text.

    Args:
        text: result of `packed`.
    """
    return [ImageTask(*(path and pathlib.Path(path) for path in paths)) for paths in json.loads(text)]


def model_bytes(model: keras.Model) -> bytes:
    """The bytes of the model's .keras file, which is loaded once: an error here is better than one in every worker.

    Args:
        model: segmentation model.
    Raises:
        ValueError: the model cannot be saved, or its file does not load.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        try:
            model.save(path)
            content = path.read_bytes()
            model_from_bytes(content)
        except Exception as error:  # a user's own layer may raise anything
            raise ValueError(f"The model {model.name!r} cannot be sent as a .keras file: {error}") from error
    return content


def model_from_bytes(content: bytes) -> keras.Model:
    """The model whose .keras file has these bytes.

    Args:
        content: result of `model_bytes`.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False)
