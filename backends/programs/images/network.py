"""A small residual network for images of any size, its training, and its export."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from backends.programs.images.reading import INPUT, ImageExamples
from backends.programs.splitting import held_out_split

OUTPUT = "probabilities"
BATCH = 64
PEAK_RATE = 0.01
VALIDATION_FRACTION = 0.1
# Passes without a better validation loss after which training stops.
PATIENCE = 5
# Fewer validation images than this say nothing about one pass; then all passes are made.
MIN_VALIDATION_IMAGES = 30


class Block(nn.Module):
    """Two 3×3 convolutions beside a short cut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels, stride)
        self.second = _convolution(channels, channels, 1)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.second(functional.relu(self.first(images))) + self.shortcut(images))


class Network(nn.Module):
    """float32[batch, channels, height, width], 0–1 -> float32[batch, classes] logits. Normalises the input itself."""

    def __init__(self, examples: ImageExamples, width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        _, channels, height, image_width = examples.pixels.shape
        sample = examples.pixels[examples.train[:2000]].astype(np.float64) / 255
        self.register_buffer("mean", _per_channel(sample.mean(axis=(0, 2, 3))))
        self.register_buffer("scale", _per_channel(1 / np.maximum(sample.std(axis=(0, 2, 3)), 1e-3)))
        side = min(height, image_width)
        stages = min(max(round(math.log2(side / 4)) + 1, 2), 4)
        layers: list[nn.Module] = [_convolution(channels, width, 2 if side >= 64 else 1), nn.ReLU()]
        before = width
        for stage in range(stages):
            after = width * 2**stage
            layers.append(Block(before, after, 1 if stage == 0 else 2))
            before = after
        self.body = nn.Sequential(*layers, Block(before, before, 1))
        self.head = nn.Linear(before, len(examples.classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body((images - self.mean) * self.scale).mean((2, 3)))
        return logits


class Answering(nn.Module):
    """The network as it is shipped: probabilities instead of logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image), dim=1)


@dataclass(frozen=True)
class Trained:
    """`network` in evaluation mode with the weights of its best pass; `passes` made."""

    network: Network
    passes: int


def train(
    examples: ImageExamples,
    *,
    width: int,
    epochs: int,
    is_flipped: bool,
    seed: int,
    threads: int,
    report: Callable[[int, float, float, float], None],
) -> Trained:
    """Train on `examples.train`, a tenth of it kept aside to choose the best pass and to stop early.

    `report(pass, training loss, validation loss, validation accuracy)` is called after each pass. The same seed and number
    of threads give the same weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    generator = np.random.default_rng(seed)
    labels = examples.answers[examples.train]
    learned, aside = held_out_split(labels, len(labels), test_fraction=VALIDATION_FRACTION, seed=seed + 1)
    learned, aside = examples.train[learned], examples.train[aside]

    network = Network(examples, width)
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=1e-2)
    steps = math.ceil(len(learned) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps * epochs)
    best_loss, best_weights, best_pass = math.inf, network.state_dict(), 0
    passes = 0
    for passes in range(1, epochs + 1):
        loss = _one_pass(
            network,
            optimizer,
            schedule,
            examples,
            generator.permutation(learned),
            is_flipped=is_flipped,
            generator=generator,
        )
        validation_loss, accuracy = _validated(network, examples, aside)
        report(passes, loss, validation_loss, accuracy)
        if not math.isfinite(loss):
            break
        if validation_loss < best_loss or len(aside) < MIN_VALIDATION_IMAGES:
            best_loss, best_pass = validation_loss, passes
            best_weights = {name: values.clone() for name, values in network.state_dict().items()}
        elif passes - best_pass >= PATIENCE:
            break
    network.load_state_dict(best_weights)
    return Trained(network.eval(), passes)


def probabilities_of(network: Network, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[images, classes], 0–1."""
    with torch.inference_mode():
        parts = [Answering(network)(torch.from_numpy(part)) for part in np.array_split(images, len(images) // 256 + 1)]
    return torch.cat(parts).numpy()


def to_graph(network: Network, examples: ImageExamples) -> onnx.ModelProto:
    """The network with its normalisation and softmax, for any batch size."""
    # Two rows: torch.export takes a dimension of one for a constant.
    sample = torch.from_numpy(examples.feed(examples.train[:2])[INPUT])
    program = torch.onnx.export(
        Answering(network).eval(),
        (sample,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    assert program is not None  # without a file to write to, the exporter returns its program
    return program.model_proto


def _one_pass(
    network: Network,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    examples: ImageExamples,
    order: NDArray[np.int64],
    *,
    is_flipped: bool,
    generator: np.random.Generator,
) -> float:
    network.train()
    total = 0.0
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        images = torch.from_numpy(examples.feed(rows)[INPUT])
        if is_flipped:
            mirrored = torch.from_numpy(generator.random(len(rows)) < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        loss = functional.cross_entropy(network(images), torch.from_numpy(examples.answers[rows]), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += loss.item() * len(rows)
    return total / len(order)


def _validated(network: Network, examples: ImageExamples, rows: NDArray[np.int64]) -> tuple[float, float]:
    network.eval()
    scores = probabilities_of(network, examples.feed(rows)[INPUT])
    right = scores[np.arange(len(rows)), examples.answers[rows]]
    return float(-np.log(np.maximum(right, 1e-15)).mean()), float(
        (scores.argmax(axis=1) == examples.answers[rows]).mean()
    )


def _convolution(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels))


def _per_channel(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).reshape(1, -1, 1, 1)
