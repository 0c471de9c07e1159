"""`python -m converters` is `tfseg-convert`."""

from converters.commands.convert import main

main()
