"""What runs models. Imported before any of its libraries, so this is where they learn to keep to themselves: once a session is
open, ONNX Runtime writes a device id into the home directory and may send usage home, unless its environment says no."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - the library reads no other place
