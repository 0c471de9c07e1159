"""The command lines, a file each: flags, and calls of what the rest of the package offers."""
