"""An exported folder behind HTTP: TF Serving's REST form, pictures in and out, and a page to try it on."""
