"""Train an image classifier: `python -m backends.programs.image_train` in a job folder. The work is in `images.training`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.images.training")
