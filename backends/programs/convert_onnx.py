"""Convert a framework's model to ONNX: `python -m backends.programs.convert_onnx` in a job folder. The work is in `models.converting`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.models.converting")
