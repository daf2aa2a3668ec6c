"""The program of the recipe image-train: labelled images in; a measured, exported and checked network out."""

from typing import Any

import numpy as np

from backends.programs import equivalence, graphs, reporting
from backends.programs.images import network
from backends.programs.images.network import OUTPUT
from backends.programs.images.reading import INPUT, ImageExamples, open_images
from backends.programs.jobfolder import Input, JobFolder, Refused

PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "torch")
# Mirroring helps photographs and harms signs: a mirrored 2 is no 2. Small or grey images are taken for signs.
FLIPPED_FROM_SIDE = 33


def run(folder: JobFolder) -> None:
    """Read, train with early stopping, export, compare the export with the network, measure on held-out images."""
    data = folder.input("data")
    given = folder.parameters
    folder.progress(0.02, f"Reading the images of {data.title}")
    examples = open_images(data, image_size=given["image_size"], test_fraction=given["test_fraction"], seed=folder.seed)
    if len(np.unique(examples.answers[examples.train])) < len(examples.classes):
        raise Refused("The training images of the dataset's own split lack some of the classes.")
    folder.progress(
        0.08,
        f"{len(examples.train)} training images, {len(examples.test)} held out, {len(examples.classes)} classes, "
        f"{examples.pixels.shape[3]}×{examples.pixels.shape[2]} pixels",
    )

    def report(number: int, loss: float, validation_loss: float, accuracy: float) -> None:
        if not np.isfinite([loss, validation_loss]).all():
            raise Refused("Training did not converge: the loss is no longer a number.")
        folder.metric("training loss", number, loss)
        folder.metric("validation loss", number, validation_loss)
        folder.metric("validation accuracy", number, accuracy)
        folder.progress(0.08 + 0.62 * number / given["epochs"], f"Pass {number}: validation accuracy {accuracy:.1%}")

    is_flipped = _is_flipped(given["augment"], examples)
    trained = network.train(
        examples,
        width=given["width"],
        epochs=given["epochs"],
        is_flipped=is_flipped,
        seed=folder.seed,
        threads=folder.threads,
        report=report,
    )

    folder.progress(0.72, "Exporting to ONNX and comparing with the trained network")
    report_of_export = _export(folder, trained.network, examples)

    folder.progress(0.9, "Measuring on the held-out images")
    signature = _signature(examples)
    folder.output_json("signature.json", signature)
    session = graphs.open_graph(folder.output("model.onnx"), threads=folder.threads)
    predicted = graphs.answers_of(session, examples, examples.test, output=OUTPUT)
    metrics, by_class = reporting.write_classification(
        folder, examples, examples.test, predicted, examples.classes, dataset=data.title, split="test"
    )
    folder.output_json(
        "training.json",
        {
            "recipe": folder.recipe,
            "parameters": given,
            "seed": folder.seed,
            "dataset": {"title": data.title, "version_uuid": data.version_uuid},
            "task": signature["task"],
            "test_fraction": given["test_fraction"],
            "passes": trained.passes,
            "is_flipped": is_flipped,
        },
    )
    parameters = sum(values.numel() for values in trained.network.parameters())
    reporting.finish(
        folder,
        metrics=metrics,
        signature=signature,
        packages=reporting.environment(*PACKAGES),
        equivalence=report_of_export,
        summary=_summary(examples, data, metrics),
        sections=[
            (
                "Training",
                (
                    f"A residual network with {parameters:,} parameters, {trained.passes} passes over "
                    f"{len(examples.train)} images; {len(examples.test)} held out. Mirrored images: "
                    f"{'yes' if is_flipped else 'no'}."
                ),
            ),
            ("Results per class", reporting.class_table(by_class)),
            (
                "Export",
                (
                    f"ONNX with any batch size. Against the trained network on {report_of_export['real_rows']} images and "
                    f"{report_of_export['boundary_rows']} artificial ones: largest difference "
                    f"{report_of_export['max_difference']:.1e}, labels agree on {report_of_export['label_agreement']:.2%}."
                ),
            ),
        ],
        card={
            "library_name": "onnx",
            "pipeline_tag": signature["task"],
            "tags": ["image-classification", "onnx", "resnet"],
            "datasets": [data.title],
        },
        heading=f"Model trained on {data.title}",
    )


def _is_flipped(augment: str, examples: ImageExamples) -> bool:
    if augment == "auto":
        _, channels, height, width = examples.pixels.shape
        return bool(channels == 3 and min(height, width) >= FLIPPED_FROM_SIDE)
    return augment == "flip"


def _export(folder: JobFolder, trained: network.Network, examples: ImageExamples) -> dict[str, Any]:
    """Write model.onnx and return its equivalence report. Raises `Refused` when the graph differs from the network."""
    path = folder.output("model.onnx")
    graphs.save_stripped(network.to_graph(trained, examples), path)
    session = graphs.open_graph(path, threads=folder.threads)
    # Held-out images first, then training images: at least 256 together where there are as many, at most 1,024.
    real = np.concatenate([examples.test, examples.train])[:1024]
    shape = examples.pixels.shape[1:]
    noise = np.random.default_rng(folder.seed).random((8, *shape), dtype=np.float32)
    artificial = np.concatenate([np.zeros((1, *shape), np.float32), np.ones((1, *shape), np.float32), noise])
    reference = np.concatenate(
        [network.probabilities_of(trained, images) for images in (examples.feed(real)[INPUT], artificial)]
    )
    exported = np.concatenate(
        [graphs.answers_of(session, examples, real, output=OUTPUT), session.run([OUTPUT], {INPUT: artificial})[0]]
    )
    report = equivalence.compare(reference, exported, real_rows=len(real), model=path)
    equivalence.require_equivalent(report)
    return report


def _signature(examples: ImageExamples) -> dict[str, Any]:
    _, channels, height, width = examples.pixels.shape
    inputs = [
        {
            "name": INPUT,
            "datatype": "FP32",
            "shape": [-1, channels, height, width],
            "columns": None,
            # `scale` times a byte of a pixel is the number to send.
            "image": {"width": width, "height": height, "channels": channels, "scale": 1 / 255},
        }
    ]
    outputs = [
        {
            "name": OUTPUT,
            "datatype": "FP32",
            "shape": [-1, len(examples.classes)],
            "classes": examples.classes,
            "role": "probabilities",
        }
    ]
    example = reporting.example_of(inputs, examples.feed(examples.test[:1]))
    return {"task": "image-classification", "inputs": inputs, "outputs": outputs, "example": example}


def _summary(examples: ImageExamples, data: Input, metrics: dict[str, dict[str, Any]]) -> str:
    return (
        f"Tells {len(examples.classes)} classes of images apart, trained on {reporting.code(data.title)}: "
        f"accuracy {reporting.figure(metrics['accuracy'])} on held-out images."
    )
