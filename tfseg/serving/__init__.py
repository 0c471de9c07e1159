"""An exported model over HTTP: TF Serving's REST API, images in and masks out, and a page to try it."""
