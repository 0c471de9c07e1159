"""Programs of TensorFlow as Keras models: frozen graphs, SavedModels and MetaGraphs."""
