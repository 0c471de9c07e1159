"""The commands, one file each: their flags, and the calls of `tfseg` and `converters` that do the work.

At module level, a command imports absl and the standard library only. Its `--help` is therefore instant.
"""
