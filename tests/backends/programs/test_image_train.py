"""Training on images: the scanned digits through the whole program, and what is said about images that cannot be used."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from backends.programs.images import network
from backends.programs.images.reading import open_images, read_labels
from backends.programs.jobfolder import Input, Refused
from tests.backends.programs.jobs import Ran, run, write_digits

# One trained digits model serves the slow tests; under several workers they stay together.
pytestmark = pytest.mark.xdist_group("digits")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(tmp_path_factory.mktemp("jobs") / "digits", "image-train", {}, {"data": digits})


def as_input(folder: Path) -> Input:
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return Input("data", "dataset", "acme/pictures@v1", "v1", paths)


def write_picture(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (12, 10), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(path)


def write_pictures(folder: Path, *, count: int = 12, prefix: str = "") -> Path:
    for label in ("cat", "dog"):
        for number in range(count):
            write_picture(folder / f"{prefix}{label}/{number:02d}.png", seed=number)
    return folder


def test_digits_reach_97_percent_on_held_out_images(trained: Ran):
    assert trained.exit_code == 0, trained.log
    result = trained.read("result.json")
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["value"] >= 0.97
    assert (accuracy["n"], accuracy["split"]) == (359, "test")
    report = result["equivalence"]
    assert (report["real_rows"], report["boundary_rows"], report["label_agreement"]) == (1024, 10, 1.0)
    assert report["max_difference"] < 1e-5
    assert result["signature"]["inputs"][0]["image"] == {"width": 8, "height": 8, "channels": 1, "scale": 1 / 255}
    assert result["signature"]["outputs"][0]["classes"] == [str(digit) for digit in range(10)]
    assert not trained.read("outputs/training.json")["is_flipped"]
    assert "Warning" not in trained.log


def test_exported_digits_model_takes_any_batch_and_carries_no_traces(trained: Ran):
    path = trained.folder / "outputs" / "model.onnx"
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 3, 64):
        (probabilities,) = session.run(None, {"image": np.zeros((batch, 1, 8, 8), np.float32)})
        assert probabilities.shape == (batch, 10)
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(batch), abs=1e-5)
    graph = onnx.load(path)
    assert not graph.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    assert b"site-packages" not in path.read_bytes()


def test_example_of_the_signature_gets_the_recorded_prediction(trained: Ran):
    signature = trained.read("outputs/signature.json")
    (example,) = signature["example"]["inputs"]
    session = onnxruntime.InferenceSession(trained.folder / "outputs" / "model.onnx")
    image = np.array(example["data"], np.float32).reshape(example["shape"])
    (probabilities,) = session.run(None, {"image": image})
    first = trained.rows("evaluation/predictions.csv")[0]
    assert signature["outputs"][0]["classes"][probabilities[0].argmax()] == first["predicted"]
    assert probabilities.max() == pytest.approx(float(first["probability"]), abs=1e-5)


def test_evaluation_of_the_same_version_uses_the_held_out_images(trained: Ran, digits: Path, tmp_path: Path):
    inputs = {"model": trained.folder / "outputs", "data": digits}
    job = run(tmp_path / "job", "evaluate", {}, inputs)
    assert job.exit_code == 0, job.log
    assert job.read("result.json")["metrics"] == trained.read("result.json")["metrics"]
    assert job.rows("evaluation/predictions.csv") == trained.rows("evaluation/predictions.csv")


def test_evaluation_of_another_version_uses_every_image(trained: Ran, tmp_path: Path):
    other = write_digits(tmp_path / "others", count=300)
    job = run(tmp_path / "job", "evaluate", {}, {"model": trained.folder / "outputs", "data": other})
    accuracy = job.read("result.json")["metrics"]["accuracy"]
    assert (accuracy["n"], accuracy["split"]) == (300, "all")


def test_int8_build_is_smaller_and_as_good(trained: Ran, digits: Path, tmp_path: Path):
    inputs = {"model": trained.folder / "outputs", "data": digits}
    job = run(tmp_path / "job", "quantize-int8", {"latency_runs": 50}, inputs)
    assert job.exit_code == 0, job.log
    comparison = job.read("outputs/comparison.json")
    size = comparison["size_bytes"]
    assert size["after"] == (job.folder / "outputs" / "model.onnx").stat().st_size
    assert size["before"] > 3 * size["after"]
    paired = comparison["accuracy"]
    assert paired["n"] == 359
    assert abs(paired["difference"]) <= 0.02
    assert paired["low"] <= paired["difference"] <= paired["high"]
    assert 0 < paired["p_value"] <= 1
    latency = comparison["latency_ms"]
    assert (latency["runs"], latency["threads"], latency["batch"]) == (50, 1, 1)
    assert min(latency["before"], latency["after"]) > 0
    result = job.read("result.json")
    assert result["equivalence"]["label_agreement"] >= 0.98
    assert result["metrics"]["accuracy"]["value"] - trained.read("result.json")["metrics"]["accuracy"][
        "value"
    ] == pytest.approx(paired["difference"])
    assert sorted(path.name for path in (job.folder / "outputs").iterdir()) == [
        "README.md",
        "comparison.json",
        "environment.json",
        "evaluation",
        "metrics.json",
        "model.onnx",
        "signature.json",
        "training.json",
    ]

    again = run(tmp_path / "again", "quantize-int8", {}, {"model": job.folder / "outputs", "data": digits})
    assert again.exit_code == 2
    assert again.read("error.json")["message"] == "acme/outputs@v1 is stored in 8 bits already."


def test_same_seed_gives_the_same_weights(digits: Path):
    examples = open_images(as_input(digits), image_size=0, test_fraction=0.2, seed=0)
    first, again, other = (
        network.train(
            examples, width=4, epochs=1, is_flipped=False, seed=seed, threads=1, report=lambda *_: None
        ).network.head.weight
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert not (first == other).all()


def test_training_stops_when_validation_no_longer_improves(digits: Path):
    examples = open_images(as_input(digits), image_size=0, test_fraction=0.2, seed=0)
    losses: list[float] = []
    done = network.train(
        examples,
        width=4,
        epochs=60,
        is_flipped=False,
        seed=0,
        threads=1,
        report=lambda _number, _loss, validation_loss, _accuracy: losses.append(validation_loss),
    )
    assert done.passes == len(losses) < 60
    assert len(losses) - 1 - int(np.argmin(losses)) == network.PATIENCE


def test_folders_named_after_classes_are_labels(tmp_path: Path):
    labelled = read_labels(as_input(write_pictures(tmp_path)))
    assert labelled.labels["cat/00.png"] == "cat"
    assert len(labelled.labels) == 24
    assert labelled.split is None


def test_folders_of_train_and_test_are_the_split(tmp_path: Path):
    write_pictures(tmp_path, prefix="train/")
    write_pictures(tmp_path, count=4, prefix="test/")
    examples = open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)
    assert (len(examples.train), len(examples.test), examples.classes) == (24, 8, ["cat", "dog"])
    assert examples.pixels.shape == (32, 3, 10, 12)
    assert all(examples.ids[row].startswith("test/") for row in examples.test)


def test_grey_and_uneven_images_become_one_size_and_colour_wins(tmp_path: Path):
    write_pictures(tmp_path)
    write_picture(tmp_path / "cat/grey.png", mode="L", size=(30, 20))
    examples = open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)
    assert examples.pixels.shape == (25, 3, 64, 64)
    assert open_images(as_input(tmp_path), image_size=16, test_fraction=0.2, seed=0).pixels.shape == (25, 3, 16, 16)


def test_split_column_of_labels_is_kept(tmp_path: Path):
    write_pictures(tmp_path)
    lines = [
        f"{label}/{number:02d}.png,{label},{'test' if number > 8 else 'train'}"
        for label in ("cat", "dog")
        for number in range(12)
    ]
    (tmp_path / "labels.csv").write_text("file,label,split\n" + "\n".join(lines))
    examples = open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)
    assert (len(examples.train), len(examples.test)) == (18, 6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,kind\na,b\n", "labels.csv needs the columns file and label; it has: file, kind."),
        ("", "labels.csv needs the columns file and label; it has: none."),
        (
            "file,label\n../../../etc/passwd,cat\n",
            "Line 2 of labels.csv names «../../../etc/passwd», which the dataset does not have.",
        ),
        ("file,label\ncat/00.png,\n", "Line 2 of labels.csv has no file or no label."),
        ("file,label\ncat/00.png,cat\ncat/00.png,dog\n", "Line 3 of labels.csv names «cat/00.png» a second time."),
        ("file,label\ncat/00.png,cat\n", "There are only 1 labelled images; at least 20 are needed."),
    ],
)
def test_wrong_labels_are_refused_by_line(tmp_path: Path, labels: str, message: str):
    write_pictures(tmp_path)
    (tmp_path / "labels.csv").write_text(labels)
    with pytest.raises(Refused) as refusal:
        open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)
    assert str(refusal.value) == message


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\n", b""])
def test_damaged_images_are_refused_by_name(tmp_path: Path, content: bytes):
    write_pictures(tmp_path)
    (tmp_path / "dog/05.png").write_bytes(content)
    with pytest.raises(Refused, match=r"^dog/05\.png is not a readable PNG"):
        open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)


def test_cut_off_image_is_refused_by_name(tmp_path: Path):
    write_pictures(tmp_path)
    whole = (tmp_path / "dog/05.png").read_bytes()
    (tmp_path / "dog/05.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match=r"^dog/05\.png is damaged"):
        open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)


def test_one_class_is_refused(tmp_path: Path):
    for number in range(24):
        write_picture(tmp_path / f"cat/{number}.png", seed=number)
    with pytest.raises(Refused, match=r"^Every image has the same label «cat»; a model"):
        open_images(as_input(tmp_path), image_size=0, test_fraction=0.2, seed=0)
