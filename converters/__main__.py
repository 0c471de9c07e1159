"""The conversion script: `python -m converters` is `tfseg convert`."""

from tfseg_cli.convert import main

main()
