"""Writing files in foreign formats, each whole or not at all."""
