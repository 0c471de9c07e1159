"""Which tensor of a source is which variable of a model: tables of names, and layouts of axes."""
