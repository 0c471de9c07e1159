"""SavedModel: for TensorFlow and TensorFlow Serving."""

import contextlib
import io
import pathlib
from collections.abc import Iterator

import keras

from tfseg.exporting.job import ExportJob
from tfseg.preprocessing import preprocess
from tfseg.types import Path, Tensor


def write(job: ExportJob, path: pathlib.Path) -> None:
    """Writes a SavedModel with four signatures, the first also as `serving_default`. All take batches of any size.

    * `logits`: `images`, float32 `(batch, height, width, 3)`, preprocessed -> `logits`.
    * `classes`: `images`, uint8 RGB -> `classes` `(batch, height, width)`, preprocessing inside. Images of other
      channels, as their files store them, are float32, with NaN for missing data.
    * `probabilities`: as `classes` -> `probabilities` `(batch, height, width, num_classes)`, the softmax of the logits.
    * `classes_from_bytes`: `image_bytes`, strings `(batch,)`, JPEG or PNG files of one size -> `classes`. TensorFlow
      ignores their EXIF orientation. Models for images of other channels do not have this signature.

    Args:
        job: model to write, with a known preprocessing.
        path: path of the directory.
    Reference: https://www.tensorflow.org/tfx/serving/api_rest
    """
    import tensorflow as tf

    model, dtype = job.network, tf.uint8 if job.num_classes <= 256 else tf.int32

    @tf.function(input_signature=[tf.TensorSpec(job.shape, tf.float32)])
    def network(images: Tensor) -> Tensor:  # one trace for all signatures
        if job.least_side > 1:  # TensorFlow computes with empty maps, and does not complain
            side = tf.reduce_min(tf.shape(images)[1:3])
            tf.debugging.assert_greater_equal(side, job.least_side, "images of fewer pixels leave a map without any")
        return model(images, training=False)

    def logits(images: Tensor) -> dict[str, Tensor]:
        return {"logits": network(images)}

    def classes(images: Tensor) -> dict[str, Tensor]:
        prepared = preprocess(images, job.preprocessing)
        return {"classes": tf.cast(tf.argmax(network(prepared), axis=-1), dtype)}

    def probabilities(images: Tensor) -> dict[str, Tensor]:
        return {"probabilities": tf.nn.softmax(network(preprocess(images, job.preprocessing)))}

    def classes_from_bytes(image_bytes: Tensor) -> dict[str, Tensor]:
        def decode(file: Tensor) -> Tensor:
            # It decodes PNG, too. With this method JPEG gives the same pixels as Pillow; the faster default does not.
            return tf.ensure_shape(tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE"), job.shape[1:])

        signature = tf.TensorSpec(job.shape[1:], tf.uint8)
        return classes(tf.map_fn(decode, image_bytes, fn_output_signature=signature))

    archive = keras.export.ExportArchive()  # it does not get the model, because it would write all weights twice
    archive.add_endpoint("logits", logits, [tf.TensorSpec(job.shape, tf.float32, "images")])
    pixels = tf.float32 if job.is_stored else tf.uint8
    archive.add_endpoint("classes", classes, [tf.TensorSpec(job.shape, pixels, "images")])
    archive.add_endpoint("probabilities", probabilities, [tf.TensorSpec(job.shape, pixels, "images")])
    if not job.is_stored:
        archive.add_endpoint(
            "classes_from_bytes", classes_from_bytes, [tf.TensorSpec(job.shape[:1], tf.string, "image_bytes")]
        )
    archive.write_out(path, verbose=False)


@contextlib.contextmanager
def quiet_writing(path: Path) -> Iterator[None]:
    """A context in which Keras prints nothing, and errors of TensorFlow about files are OSErrors.

    Args:
        path: path that is written, for the message.
    Raises:
        OSError: the disk is full, or writing is not allowed.
    """
    import tensorflow as tf

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras prints the endpoints even with verbose=False
            yield
    except tf.errors.OpError as error:
        raise OSError(f"{path} cannot be written: {error.message}") from error
