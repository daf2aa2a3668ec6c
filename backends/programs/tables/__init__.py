"""Tables in, one ONNX graph of the whole pipeline out."""
