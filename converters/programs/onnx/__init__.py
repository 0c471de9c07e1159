"""What the operators of ONNX compute: a rule for each, in the vocabulary of `converters.programs.steps`.

`rules` has the table; the other modules have the rules, by kind, and what several of them need.
"""
