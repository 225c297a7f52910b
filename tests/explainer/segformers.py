"""The smallest possible SegFormer, with weights set by hand: it distinguishes red from blue, and nothing else.

It has one stage of two channels. Its patches use the pixels (4 i, 4 j) alone: channel 0 red, channel 1 blue. The
layer norms leave (+1, −1) where red is more, (−1, +1) where blue is; attention and MLP add nothing, and the decoder
passes on what is positive. So the logits of a patch are (RED, 0, −9) where it is red and (0, BLUE, −9) where blue.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

RED, BLUE = 3.0, 1.0
SIDE_PX = 16

CONFIG = {
    "architectures": ["SegformerForSemanticSegmentation"],
    "model_type": "segformer",
    "num_encoder_blocks": 1,
    "depths": [1],
    "sr_ratios": [1],
    "hidden_sizes": [2],
    "patch_sizes": [3],
    "strides": [4],
    "num_attention_heads": [1],
    "mlp_ratios": [1],
    "decoder_hidden_size": 2,
    "id2label": {"0": "red", "1": "blue", "2": "never"},
    "label2id": {"red": 0, "blue": 1, "never": 2},
}
PREPROCESSING = {"size": {"height": SIDE_PX, "width": SIDE_PX}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}


def weights() -> dict[str, torch.Tensor]:
    """Return the weights, with the names of the files that NVIDIA published."""
    patches = torch.zeros(2, 3, 3, 3)
    patches[0, 0, 1, 1] = patches[1, 2, 1, 1] = 1
    identity, zeros, ones = torch.eye(2), torch.zeros(2), torch.ones(2)
    encoder = "segformer.encoder."
    result = {f"{encoder}patch_embeddings.0.proj.weight": patches, f"{encoder}patch_embeddings.0.proj.bias": zeros}
    block = f"{encoder}block.0.0."
    for norm in (
        f"{encoder}patch_embeddings.0.layer_norm",
        f"{encoder}layer_norm.0",
        *(f"{block}layer_norm_{n}" for n in (1, 2)),
    ):
        result |= {f"{norm}.weight": ones, f"{norm}.bias": zeros}
    for layer in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        result |= {f"{block}{layer}.weight": 0 * identity, f"{block}{layer}.bias": zeros}
    for layer in ("mlp.dense1", "mlp.dense2"):
        result |= {f"{block}{layer}.weight": 0 * identity, f"{block}{layer}.bias": zeros}
    result |= {f"{block}mlp.dwconv.dwconv.weight": torch.zeros(2, 1, 3, 3), f"{block}mlp.dwconv.dwconv.bias": zeros}
    head = "decode_head."
    result |= {f"{head}linear_c.0.proj.weight": identity, f"{head}linear_c.0.proj.bias": zeros}
    result |= {f"{head}linear_fuse.weight": identity[:, :, None, None]}
    result |= {f"{head}batch_norm.weight": ones, f"{head}batch_norm.bias": zeros}
    result |= {f"{head}batch_norm.running_mean": zeros, f"{head}batch_norm.running_var": ones}
    result |= {f"{head}batch_norm.num_batches_tracked": torch.tensor(0)}
    classes = torch.tensor([[RED, 0], [0, BLUE], [0, 0]])
    result |= {
        f"{head}classifier.weight": classes[:, :, None, None],
        f"{head}classifier.bias": torch.tensor([0, 0, -9.0]),
    }
    return {name: values.clone().contiguous() for name, values in result.items()}


def save_segformer(folder: Path, *, config: dict | None = None, preprocessing: dict | None = None) -> Path:
    """Write the SegFormer to a folder; `config` and `preprocessing` override its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING | (preprocessing or {})))
    return folder
