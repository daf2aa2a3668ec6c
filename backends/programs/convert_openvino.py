"""Build for OpenVINO: `python -m backends.programs.convert_openvino` in a job folder. The work is in `models.openvino_build`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.models.openvino_build")
