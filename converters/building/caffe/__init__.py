"""Networks of Caffe as programs: a prototxt, or what a `.caffemodel` defines, in the builder's vocabulary."""
