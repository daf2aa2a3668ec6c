"""Labelled images in, a small convolutional network as ONNX out."""
