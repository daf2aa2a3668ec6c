"""Store a model in 8 bits: `python -m backends.programs.quantize_int8` in a job folder. The work is in `models.quantizing`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.models.quantizing")
