"""The libraries people train with, unmodified, each in a process of its own: transformers, datasets, and files as a file system."""

import io
import json
import secrets

import pandas as pd
import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from tests.spaces.hf_client import Hub

TRANSFORMERS = """
import json, sys, torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast
repo, folder = sys.argv[1:]
torch.manual_seed(0)
config = BertConfig(vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
model = BertModel(config)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "small", "models", "are", "fine"]
open(folder + "/vocab.txt", "w").write("\\n".join(words))
tokenizer = BertTokenizerFast(folder + "/vocab.txt")
model.push_to_hub(repo)
tokenizer.push_to_hub(repo)
again = AutoModel.from_pretrained(repo)
words = AutoTokenizer.from_pretrained(repo)("small models are fine", return_tensors="pt")
with torch.no_grad():
    same = torch.equal(model.eval()(**words).last_hidden_state, again.eval()(**words).last_hidden_state)
again.config.hidden_act = "relu"
again.push_to_hub(repo, create_pr=True)
print(json.dumps({
    "same": same,
    "ids": words["input_ids"].tolist(),
    "main": AutoConfig.from_pretrained(repo).hidden_act,
    "proposed": AutoConfig.from_pretrained(repo, revision="refs/pr/1").hidden_act,
}))
"""

REFUSED = """
import sys
from transformers import AutoModel
for repo in sys.argv[1:]:
    try:
        AutoModel.from_pretrained(repo)
    except OSError as error:
        print(str(error).replace("\\n", " "))
"""

DATASETS = """
import json, sys
from datasets import Dataset, load_dataset, load_dataset_builder
repo, target = sys.argv[1:]
found = {}
for kind in ("csv", "jsonl", "parquet"):
    whole = load_dataset(repo, data_dir=kind)
    streamed = load_dataset(repo, data_dir=kind, split="train", streaming=True)
    found[kind] = [whole["train"].to_list(), list(streamed), sorted(whole)]
images = load_dataset(repo, data_dir="images", split="train")
streamed = load_dataset(repo, data_dir="images", split="train", streaming=True)
names = images.features["label"].names
found["images"] = [
    sorted((names[row["label"]], row["image"].size, row["image"].getpixel((0, 0))) for row in rows)
    for rows in (images, streamed)
]
found["splits"] = sorted(load_dataset(repo, data_files={"train": "csv/train*.csv", "test": "csv/test.csv"}))
Dataset.from_dict({"x": list(range(1000)), "y": ["a"] * 1000}).push_to_hub(target, private=True)
Dataset.from_dict({"x": [1], "y": ["b"]}).push_to_hub(target, split="test")
again = load_dataset(target)
found["pushed"] = {split: len(rows) for split, rows in again.items()}
found["sum"] = sum(again["train"]["x"])
found["features"] = sorted(load_dataset_builder(target).info.features)
print(json.dumps(found))
"""


def test_a_model_is_pushed_and_loaded(hub: Hub, repo: str, tmp_path) -> None:
    (tmp_path / "work").mkdir()
    said = json.loads(hub.run_python(TRANSFORMERS, repo, tmp_path / "work").splitlines()[-1])
    assert said == {"same": True, "ids": [[2, 5, 6, 7, 8, 3]], "main": "gelu", "proposed": "relu"}
    files = {file.path: file for file in hub.api.list_repo_tree(repo)}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    assert files["model.safetensors"].lfs is not None


def test_models_that_may_not_be_read_say_why(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
    hub.api.update_repo_settings(repo, gated="manual")
    private = f"{repo}-private"
    hub.api.create_repo(private, private=True)
    gated, missing = stranger.run_python(REFUSED, repo, private).splitlines()
    assert "gated repo" in gated
    assert "is not a local folder and is not a valid model identifier" in missing
    hub.api.delete_repo(private)


ROWS = [{"name": "a", "value": 1}, {"name": "b", "value": 2}, {"name": "ä", "value": 3}]


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), color).save(file, "PNG")
    return file.getvalue()


def test_a_dataset_is_loaded_in_every_format_and_streamed(hub: Hub, private_repo: str) -> None:
    table = pd.DataFrame(ROWS)
    files = {
        "csv/train-1.csv": table[:2].to_csv(index=False).encode(),
        "csv/train-2.csv": table[2:].to_csv(index=False).encode(),
        "csv/test.csv": table.to_csv(index=False).encode(),
        "jsonl/train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
        "parquet/train.parquet": table.to_parquet(),
        "images/cat/1.png": png((255, 0, 0)),
        "images/cat/2.png": png((0, 255, 0)),
        "images/dog/1.png": png((0, 0, 255)),
    }
    hub.api.create_commit(
        private_repo,
        [CommitOperationAdd(path, data) for path, data in files.items()],
        commit_message="data",
        repo_type="dataset",
    )
    target = f"{hub.user}/pushed-{secrets.token_hex(3)}"
    found = json.loads(hub.run_python(DATASETS, private_repo, target).splitlines()[-1])
    for kind in ("csv", "jsonl", "parquet"):
        whole, streamed, splits = found[kind]
        assert whole == streamed == ROWS
        assert splits == (["test", "train"] if kind == "csv" else ["train"])
    expected = [["cat", [4, 3], [0, 255, 0]], ["cat", [4, 3], [255, 0, 0]], ["dog", [4, 3], [0, 0, 255]]]
    assert found["images"] == [expected, expected]
    assert (found["splits"], found["pushed"], found["sum"]) == (["test", "train"], {"train": 1000, "test": 1}, 499_500)
    assert found["features"] == ["x", "y"]
    assert hub.api.dataset_info(target).private is True
    hub.api.delete_repo(target, repo_type="dataset")


@pytest.fixture
def files(hub: Hub, private_repo: str) -> tuple[HfFileSystem, str]:
    """The private dataset as a file system, with some files in it."""
    added = [CommitOperationAdd(f"data/{n % 3}/{n:02d}.txt", f"number {n}\n".encode()) for n in range(30)]
    big = CommitOperationAdd("big.bin", bytes(range(256)) * 8192)
    hub.api.create_commit(private_repo, [*added, big], commit_message="files", repo_type="dataset")
    return HfFileSystem(endpoint=hub.site.url, token=hub.token, skip_instance_cache=True), f"datasets/{private_repo}"


def test_a_file_system_lists_and_reads(files: tuple[HfFileSystem, str]) -> None:
    system, root = files
    assert sorted(path.removeprefix(root) for path in system.ls(root, detail=False)) == [
        "/.gitattributes",
        "/big.bin",
        "/data",
    ]
    assert len(system.glob(f"{root}/data/*/*.txt")) == 30
    assert len(system.find(root)) == 32
    assert system.glob(f"{root}/**/07.txt") == [f"{root}/data/1/07.txt"]
    assert system.read_text(f"{root}/data/1/07.txt") == "number 7\n"
    info = system.info(f"{root}/big.bin", expand_info=True)
    assert (info["size"], info["type"], info["last_commit"].title) == (2 * 1024**2, "file", "files")
    with system.open(f"{root}/big.bin", "rb") as file:
        file.seek(1_000_000)
        assert file.read(5) == bytes(range(64, 69))
        file.seek(-3, 2)
        assert file.read() == bytes([253, 254, 255])
    assert system.cat_file(f"{root}/big.bin", start=256, end=260) == bytes(range(4))
    assert not system.exists(f"{root}/nothing")
    assert system.isdir(f"{root}/data")
    with pytest.raises(FileNotFoundError):
        system.ls(f"{root}/nothing")
    with pytest.raises(FileNotFoundError):
        system.ls(f"{root}-missing")


def test_a_file_system_writes_copies_and_removes(hub: Hub, files: tuple[HfFileSystem, str], private_repo: str) -> None:
    system, root = files
    with system.open(f"{root}/new/a.txt", "wb") as file:
        file.write(b"written")
    assert system.read_bytes(f"{root}/new/a.txt") == b"written"
    system.cp_file(f"{root}/new/a.txt", f"{root}/new/b.txt")
    system.cp_file(f"{root}/big.bin", f"{root}/again.bin")
    assert system.read_bytes(f"{root}/new/b.txt") == b"written"
    assert system.info(f"{root}/again.bin")["lfs"].sha256 == system.info(f"{root}/big.bin")["lfs"].sha256
    system.rm(f"{root}/data", recursive=True)
    system.rm_file(f"{root}/new/a.txt")
    left = {".gitattributes", "again.bin", "big.bin", "new/b.txt"}
    assert set(hub.api.list_repo_files(private_repo, repo_type="dataset")) == left
    hub.api.create_branch(private_repo, branch="feat/x", repo_type="dataset")
    with system.open(f"{root}@feat%2Fx/only.txt", "w") as file:
        file.write("here")
    assert system.read_text(f"{root}@feat%2Fx/only.txt") == "here"
    assert not system.exists(f"{root}/only.txt")
    with pytest.raises((FileNotFoundError, HfHubHTTPError)):
        system.rm_file(f"{root}/never")


def test_tables_are_read_by_their_address(hub: Hub, private_repo: str) -> None:
    table = pd.DataFrame(ROWS)
    hub.api.upload_file(
        path_or_fileobj=table.to_parquet(), path_in_repo="t.parquet", repo_id=private_repo, repo_type="dataset"
    )
    options = {"endpoint": hub.site.url, "token": hub.token}
    again = pd.read_parquet(f"hf://datasets/{private_repo}/t.parquet", storage_options=options)
    pd.testing.assert_frame_equal(again, table)
