"""The Open Inference Protocol, in a process of its own."""

import backends.engines  # noqa: F401 - settles the environment before onnxruntime is imported anywhere in here
