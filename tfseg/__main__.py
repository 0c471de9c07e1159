"""`python -m tfseg` is `tfseg`."""

from tfseg_cli.main import main

main()
