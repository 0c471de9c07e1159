"""Protocol buffers: the wire format and the text format."""
