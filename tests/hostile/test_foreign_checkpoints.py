"""CERTH's and TIB's files made to do harm, or simply wrong: one clear sentence, no code, no memory."""

import os
import pickle
import re
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.cell_tables import read_cells
from geoexplain.locator.checkpoints.certh import load_certh
from geoexplain.locator.checkpoints.tib import load_tib
from geoexplain.locator.checkpoints.torchfile import read_torch_file
from tests.golden.checkpoints import HPARAMS
from tests.hostile.test_checkpoints import Payload

HEAD, EMBEDDING, BACKBONE = "mvmf_head.pt", "rrm_head.pt", "efficientnet_backbone.pt"


def copied(folder: Path, target: Path, without: str = "") -> Path:
    for file in folder.iterdir():
        if file.name != without:
            (target / file.name).symlink_to(file)
    return target


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises((CheckpointError, DataError)) as refused:
        call()
    message = str(refused.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) < 2500
    return message


def head(good: Path) -> dict[str, torch.Tensor]:
    return torch.load(good / HEAD, weights_only=True)


def save_code(good: Path, file: Path) -> None:
    torch.save({"mvmf.mus": Payload(file.with_name("canary"))}, file)


def save_code_beside_the_tensors(good: Path, file: Path) -> None:
    torch.save({**head(good), "note": Payload(file.with_name("canary"))}, file)


def save_bare_pickle(good: Path, file: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(file.with_name("canary"))))


def save_old_format(good: Path, file: Path) -> None:
    torch.save(head(good), file, _use_new_zipfile_serialization=False)


def save_half(good: Path, file: Path) -> None:
    whole = (good / HEAD).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def save_without_the_middle(good: Path, file: Path) -> None:
    whole = (good / HEAD).read_bytes()
    file.write_bytes(whole[: len(whole) // 3] + whole[2 * len(whole) // 3 :])


def save_compressed(good: Path, file: Path) -> None:
    with zipfile.ZipFile(good / HEAD) as stored, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as deflated:
        for part in stored.namelist():
            deflated.writestr(part, stored.read(part))


def save_with(**tensors: object) -> Callable[[Path, Path], None]:
    def save(good: Path, file: Path) -> None:
        torch.save({**head(good), **{key.replace("__", "."): value for key, value in tensors.items()}}, file)

    return save


def save_without_mus(good: Path, file: Path) -> None:
    tensors = head(good)
    del tensors["mvmf.mus"]
    torch.save(tensors, file)


def save_of_another_model(good: Path, file: Path) -> None:
    small = {key: value[:, :300] if key == "mvmf.mus" else value[:200] for key, value in head(good).items()}
    torch.save({key: value.clone() for key, value in small.items()}, file)


def save_nan(good: Path, file: Path) -> None:
    tensors = head(good)
    tensors["mixture_weights.seq_model.0.weight"][3, 5] = torch.nan
    torch.save(tensors, file)


def with_method(tensor: torch.Tensor) -> torch.Tensor:
    tensor.is_contiguous = 3
    return tensor


STRIDE_0 = torch.zeros(1).expand(257, 1792)

HEADS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "code": (save_code, r"would have to be executed \(posix.system"),
    "code beside the tensors": (save_code_beside_the_tensors, "would have to be executed"),
    "bare pickle": (save_bare_pickle, "written by torch.save"),
    "format of PyTorch 1.5": (save_old_format, "PyTorch 1.6 or later"),
    "empty": (lambda good, file: file.write_bytes(b""), "written by torch.save"),
    "html": (lambda good, file: file.write_text("<!doctype html><title>404</title>"), "written by torch.save"),
    "half": (save_half, "cut short"),
    "without the middle": (save_without_the_middle, "get the file again"),
    "compressed": (save_compressed, "uncompressed"),
    "a list": (lambda good, file: torch.save([1, 2], file), "expected a state dict, got list"),
    "numbers": (save_with(mvmf__mus=3.0), "dense tensors, got float under 'mvmf.mus'"),
    "sparse": (save_with(mvmf__kappas=torch.zeros(257).to_sparse()), "dense tensors|get the file again"),
    "key missing": (save_without_mus, "key 'mvmf.mus' is missing"),
    "key too many": (save_with(more=torch.zeros(1)), "unexpected key 'more'"),
    "whole numbers": (save_with(mvmf__kappas=torch.zeros(257, dtype=torch.int64)), "has type I64, expected F16"),
    "another model's": (
        save_of_another_model,
        r"mvmf_head.pt: key 'mixture_weights.*shape \(200, 1792\), expected \(257, 1792\).*the head of another model\?",
    ),
    "stride 0": (save_with(mixture_weights__seq_model__0__weight=STRIDE_0), "257, 1792|stretched to that shape"),
    "NaN": (save_nan, "mixture_weights.seq_model.0.weight' holds NaN"),
    "infinite kappa": (save_with(mvmf__kappas=torch.full((257,), torch.inf)), "mvmf.kappas' holds NaN or infinite"),
    "infinite in fp32": (
        save_with(mvmf__kappas=torch.full((257,), 1e300, dtype=torch.float64)),
        "mvmf.kappas' holds NaN or inf",
    ),
    "shapes without numbers": (save_with(mvmf__kappas=torch.zeros(257, device="meta")), "dense tensors"),
    "a method of its own": (save_with(mvmf__kappas=with_method(torch.zeros(257))), "dense tensors"),
    "latitude of 200": (save_with(mvmf__mus=torch.full((2, 257), 200.0)), "latitudes in"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_that_is_wrong_is_refused(kind: str, certh_files: Path, tmp_path: Path) -> None:
    save, words = HEADS[kind]
    folder = copied(certh_files, tmp_path, without=HEAD)
    save(certh_files, folder / HEAD)
    message = refusal(lambda: load_certh(folder, name="hostile", cells=257, device="cpu"))
    assert message.startswith(HEAD)
    assert re.search(words, message), message
    assert not (tmp_path / "canary").exists()


def test_each_missing_file_is_named_with_how_to_get_it(certh_files: Path, tmp_path: Path) -> None:
    folder = copied(certh_files, tmp_path, without=EMBEDDING)
    message = refusal(lambda: load_certh(folder, name="hostile"))
    assert "found no rrm_head.pt" in message
    assert "ask CERTH" in message


def test_files_in_each_others_place_are_refused(certh_files: Path, tmp_path: Path) -> None:
    for place, other in ((BACKBONE, HEAD), (EMBEDDING, BACKBONE)):
        folder = tmp_path / place
        folder.mkdir()
        copied(certh_files, folder, without=place)
        (folder / place).symlink_to(certh_files / other)
        message = refusal(lambda folder=folder: load_certh(folder, name="hostile"))
        assert message.startswith(place)
        assert "and " in message  # five differences, and so many more
        assert "is this the file of another network?" in message


MEASURE = """
import resource, sys
from pathlib import Path
from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints.torchfile import checked_tensors, read_torch_file
import torch

def attempt(file):
    try:
        checked_tensors("x", read_torch_file(Path(file)), {"w": torch.zeros(2**34, 2, device="meta")}, "?")
    except CheckpointError as error:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

for file in sys.argv[1:]:
    attempt(file)
"""


def test_giants_ask_for_no_memory(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "first.pt")  # so that what is imported late is imported
    torch.save({"w": torch.zeros(1).expand(2**34, 2)}, tmp_path / "stride.pt")
    torch.save({"w": torch.zeros(1), "deep": nested(60)}, tmp_path / "deep.pt")
    files = [str(tmp_path / f"{name}.pt") for name in ("first", "stride", "deep")]
    assert os.path.getsize(files[1]) < 5000
    result = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
    used_mb = [float(line) for line in result.stdout.split()]
    assert len(used_mb) == 3
    assert used_mb[-1] - used_mb[0] < 20


def nested(depth: int) -> list:
    inner: list = []
    for _ in range(depth):
        inner = [inner]
    return inner


def test_lightning_s_harmless_classes_are_read_and_no_others(tmp_path: Path) -> None:
    data = {"hyper_parameters": Namespace(path=Path("a/b")), "state_dict": OrderedDict(w=torch.ones(2))}
    torch.save(data, tmp_path / "base.ckpt")
    assert read_torch_file(tmp_path / "base.ckpt")["hyper_parameters"] == Namespace(path=Path("a/b"))
    torch.save({"w": Refused()}, tmp_path / "other.ckpt")
    assert "Refused" in refusal(lambda: read_torch_file(tmp_path / "other.ckpt"))


class Refused:
    """Harmless, but not one of the two."""


def test_tables_far_too_large_are_not_read(tib_files: Path, tmp_path: Path) -> None:
    folder = copied(tib_files, tmp_path, without="m_43.csv")
    for name, read in (
        ("m_43.csv", lambda: load_tib(folder, name="hostile", device="cpu")),
        ("x.cells.csv", lambda: read_cells(folder / "x.cells.csv", "hostile")),
    ):
        with (folder / name).open("wb") as file:
            file.truncate(2**34)  # a hole of 16 GiB that takes no room
        assert refusal(read).startswith(f"{name}: expected at most 256 MiB")


def doubled(value: str) -> str:
    return "".join(f"a{turn}: &a{turn} {value.format(turn - 1, turn - 1)}\n" for turn in range(1, 60))


TIB: dict[str, tuple[str, str | None, str]] = {
    "no settings": ("hparams.yaml", None, "hparams.yaml in the folder, found none"),
    "no checkpoint": ("base.ckpt", None, r"a file \*.ckpt in the folder, found none"),
    "no table": ("m_43.csv", None, "the file m_43.csv in the folder, found none"),
    "no tree": ("h_dict.json", None, "the file h_dict.json in the folder, found none"),
    "settings that are no YAML": ("hparams.yaml", "{[", "settings in YAML"),
    "settings that run": ("hparams.yaml", "!!python/object/apply:os.system ['touch canary']", "arch"),
    "settings that grow": ("hparams.yaml", "a0: &a0 [xx, yy]\n" + doubled("[*a{}, *a{}]"), "settings in YAML"),
    "texts that grow": ("hparams.yaml", "a0: &a0 xx\n" + doubled("!!python/tuple [*a{}, *a{}]"), "settings in YAML"),
    "settings that merge": ("hparams.yaml", "a0: &a0 {x: y}\n" + doubled("{{<<: [*a{}, *a{}]}}"), "settings in YAML"),
    "settings within themselves": ("hparams.yaml", "arch: &a [*a]", "settings in YAML"),
    "settings of nothing": ("hparams.yaml", "", "arch"),
    "another network": (
        "hparams.yaml",
        HPARAMS.replace("efficientnet-b4", "mobilenet_v2").format(files="m_7.csv, m_19.csv, m_43.csv"),
        "arch: efficientnet-b0",
    ),
    "another size of network": (
        "hparams.yaml",
        HPARAMS.replace("efficientnet-b4", "efficientnet-b3").format(files="m_7.csv, m_19.csv, m_43.csv"),
        "base.ckpt: .*is this the file of another network",
    ),
    "a level too few": ("hparams.yaml", HPARAMS.format(files="m_19.csv, m_43.csv"), "the tables belong to another"),
    "a path as a table": ("hparams.yaml", HPARAMS.format(files="../../etc/passwd"), "the file passwd in the folder"),
    "a table of another kind": ("m_43.csv", "a,b\n1,2\n", "expected the columns class_index"),
    "classes missing": ("m_43.csv", "class_index,class_label,latitude_mean,longitude_mean\n5,x,1,2\n", "0, 1, 2"),
    "a class twice": (
        "m_43.csv",
        "class_index,class_label,latitude_mean,longitude_mean\n0,x,1,2\n0,y,1,2\n",
        "0, 1, 2",
    ),
    "no numbers": ("m_43.csv", "class_index,class_label,latitude_mean,longitude_mean\n0,x,n,2\n", "could not read"),
    "latitude of 100": ("m_43.csv", "class_index,class_label,latitude_mean,longitude_mean\n0,x,100,2\n", "within ±90"),
    "latitude of NaN": ("m_43.csv", "class_index,class_label,latitude_mean,longitude_mean\n0,x,nan,2\n", "within ±90"),
    "a tree of nothing": ("h_dict.json", "{}", "under 'm_19'|under 'm_43'"),
    "a tree of numbers": ("h_dict.json", '{"m_19": {"M0": 3}, "m_43": {}}', "got none for M0"),
    "a tree that is no JSON": ("h_dict.json", "[" * 100_000, "expected JSON"),
}


@pytest.mark.parametrize("kind", TIB)
def test_a_folder_of_tib_that_is_wrong_is_refused(
    kind: str, tib_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, content, words = TIB[kind]
    folder = copied(tib_files, tmp_path, without=name)
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (folder / name).write_text(content, encoding="utf-8")
    message = refusal(lambda: load_tib(folder, name="hostile", device="cpu"))
    assert re.search(words, message), message
    assert not (tmp_path / "canary").exists()
