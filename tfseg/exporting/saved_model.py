"""SavedModel: for TensorFlow and TensorFlow Serving."""

import contextlib
import io

from tfseg.preprocessing import preprocess


def write(job, path):
    """A SavedModel of three signatures, the first also `serving_default`; the batch is of any size in all of them.

    * `logits`: `images`, float32 `(batch, height, width, 3)`, preprocessed -> `logits`.
    * `classes`: `images`, uint8 RGB -> `classes` `(batch, height, width)`, preprocessing inside.
    * `classes_from_bytes`: `image_bytes`, strings `(batch,)`, JPEG or PNG files of one size -> `classes`. Their EXIF
      orientation is not looked at: TensorFlow decodes without it.

    Reference: https://www.tensorflow.org/tfx/serving/api_rest
    """
    import keras
    import tensorflow as tf

    model, dtype = job.network, tf.uint8 if job.num_classes <= 256 else tf.int32

    @tf.function(input_signature=[tf.TensorSpec(job.shape, tf.float32)])
    def network(images):  # one trace for all three
        return model(images, training=False)

    def logits(images):
        return {"logits": network(images)}

    def classes(images):
        prepared = preprocess(images, job.preprocessing)
        return {"classes": tf.cast(tf.argmax(network(prepared), axis=-1), dtype)}

    def classes_from_bytes(image_bytes):
        def decode(one):
            # PNG too; and of JPEG the very pixels that Pillow decodes, as the faster transform by default does not.
            return tf.ensure_shape(tf.io.decode_jpeg(one, channels=3, dct_method="INTEGER_ACCURATE"), job.shape[1:])

        signature = tf.TensorSpec(job.shape[1:], tf.uint8)
        return classes(tf.map_fn(decode, image_bytes, fn_output_signature=signature))

    archive = keras.export.ExportArchive()  # not told of the model: it would write all weights twice
    archive.add_endpoint("logits", logits, [tf.TensorSpec(job.shape, tf.float32, "images")])
    archive.add_endpoint("classes", classes, [tf.TensorSpec(job.shape, tf.uint8, "images")])
    archive.add_endpoint(
        "classes_from_bytes", classes_from_bytes, [tf.TensorSpec(job.shape[:1], tf.string, "image_bytes")]
    )
    archive.write_out(path, verbose=False)


def write_any(model, path):
    """A SavedModel of any Keras model, as Keras writes it: float input in, all outputs out, at the endpoint `serve`.

    Raises:
        OSError: the disk is full, or writing is not allowed.
    """
    with writing(path):
        model.export(path, format="tf_saved_model", verbose=False)


@contextlib.contextmanager
def writing(path):
    """Keras without its prints, and OSError for what the operating system refuses to TensorFlow."""
    import tensorflow as tf

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras prints the endpoints even when told not to
            yield
    except tf.errors.OpError as error:
        raise OSError(f"{path} cannot be written: {error.message}") from error
