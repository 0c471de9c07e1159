"""Receipt and comparison as a page: one HTML file without a script, for light and dark."""
