"""Files for Keras and for whoever wants the weights alone."""


def keras_file(job, path):
    """The whole model, as `keras.saving.load_model` reads it once tfseg is imported."""
    job.model.save(path)


def h5(job, path):
    """Keras's weights, for `load_weights` of the same network."""
    job.model.save_weights(path)


def safetensors(job, path):
    """Variables named by `variable.path`, in Keras's layouts; the facts of metadata.json are in the header, as "tfseg".

    Reference: https://huggingface.co/docs/safetensors
    """
    from keras import ops
    from safetensors.numpy import save_file

    arrays = {variable.path: ops.convert_to_numpy(variable) for variable in job.model.weights}
    save_file(arrays, path, metadata={"format": "keras", "tfseg": job.metadata_text})
