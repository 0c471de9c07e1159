"""Writers of files: whole or not at all, with the error of this package."""
