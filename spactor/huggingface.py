"""The discriminator in the Hugging Face format: a folder that `transformers` loads, and back.

    config.json, generation_config.json                    a T5.1.0: ReLU, tied embedding
    model.safetensors                                      float32
    spiece.model, tokenizer.json, tokenizer_config.json    the vocabulary
    spactor.json                                           provenance of the model, if known

The values are equal bit for bit. Linear layers and position biases are transposed, because PyTorch
stores ``[out, in]`` and Flax ``[in, out]``. Nothing is scaled: T5.1.0 divides the logits of its
tied embedding by √d, and so does `transformers` with ``tie_word_embeddings``. The generator and
the replaced-token-detection head are not part of a T5 and are left out.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spactor import strict_json
from spactor.config import ModelConfig
from spactor.data.vocabulary import EOS_ID, PAD_ID
from spactor.errors import UserError
from spactor.files import make_durable
from spactor.huggingface_tokenizer import tokenizer_files
from spactor.network import MAX_DISTANCE, NUM_BUCKETS
from spactor.objective import Params
from spactor.step import HYBRID_ONLY

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
WEIGHTS_FILE = "model.safetensors"
ABOUT_FILE = "spactor.json"

_DTYPE = "F32"

# The sublayers of each stack in order: our norm, our block, block in Hugging Face.
_SUBLAYERS = {
    "encoder": (
        ("pre_attention_layer_norm", "attention", "SelfAttention"),
        ("pre_mlp_layer_norm", "mlp", "DenseReluDense"),
    ),
    "decoder": (
        ("pre_self_attention_layer_norm", "self_attention", "SelfAttention"),
        ("pre_cross_attention_layer_norm", "encoder_decoder_attention", "EncDecAttention"),
        ("pre_mlp_layer_norm", "mlp", "DenseReluDense"),
    ),
}

# Other names of the embedding, which some versions of `transformers` write in addition.
_TIED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
# Part of the T5.1.0 published by Google, and unused.
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"

_SPECIAL_IDS = {"pad_token_id": PAD_ID, "eos_token_id": EOS_ID, "decoder_start_token_id": PAD_ID}
# Settings of every T5.1.0, and defaults of `transformers` for keys missing in config.json.
_FIXED: Mapping[str, Any] = {
    "model_type": "t5",
    "is_encoder_decoder": True,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
    "scale_decoder_outputs": True,
    "layer_norm_epsilon": 1e-6,
    "relative_attention_num_buckets": NUM_BUCKETS,
    "relative_attention_max_distance": MAX_DISTANCE,
    **_SPECIAL_IDS,
}


@dataclass(frozen=True)
class _Tensor:
    """A tensor: name and shape in Hugging Face, path here, whether it is transposed here."""

    name: str
    path: tuple[str, ...]
    shape: tuple[int, ...]
    transposed: bool


def _tensors(model: ModelConfig) -> Iterator[_Tensor]:
    """Yields every tensor of the discriminator; used by both export and import."""
    width, hidden = model.emb_dim, model.mlp_dim
    inner = model.num_heads * model.head_dim
    kernels = {
        "query": ("q", (inner, width)),
        "key": ("k", (inner, width)),
        "value": ("v", (inner, width)),
        "out": ("o", (width, inner)),
        "wi": ("wi", (hidden, width)),
        "wo": ("wo", (width, hidden)),
    }
    yield _Tensor(
        "shared.weight", ("token_embedder", "embedding"), (model.vocab_size, width), False
    )
    depths = {"encoder": model.num_encoder_layers, "decoder": model.num_decoder_layers}
    for stack, depth in depths.items():
        yield _Tensor(
            f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            (stack, "relpos_bias", "rel_embedding"),
            (NUM_BUCKETS, model.num_heads),
            True,
        )
        for layer in range(depth):
            for index, (norm, block, their_block) in enumerate(_SUBLAYERS[stack]):
                prefix = f"{stack}.block.{layer}.layer.{index}"
                path = (stack, f"layers_{layer}")
                yield _Tensor(
                    f"{prefix}.layer_norm.weight", (*path, norm, "scale"), (width,), False
                )
                for ours in ("wi", "wo") if block == "mlp" else ("query", "key", "value", "out"):
                    theirs, shape = kernels[ours]
                    yield _Tensor(
                        f"{prefix}.{their_block}.{theirs}.weight",
                        (*path, block, ours, "kernel"),
                        shape,
                        True,
                    )
        yield _Tensor(
            f"{stack}.final_layer_norm.weight", (stack, f"{stack}_norm", "scale"), (width,), False
        )


def to_tensors(params: Params, model: ModelConfig) -> dict[str, np.ndarray]:
    """Returns the discriminator's parameters under Hugging Face's names.

    Args:
      params: parameters of either stage; generator and RTD head are left out.
      model: the sizes of the model.

    Returns:
      Contiguous float32 arrays, as `safetensors` needs them.

    Raises:
      UserError: a parameter is missing, unknown, or of another shape or type.
    """
    ours = {
        path: np.asarray(leaf)
        for path, leaf in traverse_util.flatten_dict(params).items()
        if path[0] not in HYBRID_ONLY
    }
    result = {}
    for tensor in _tensors(model):
        where = "/".join(tensor.path)
        if tensor.path not in ours:
            raise UserError(f"the model has no parameter {where}: export a whole discriminator")
        array = ours.pop(tensor.path)
        array = array.T if tensor.transposed else array
        if array.shape != tensor.shape or array.dtype != np.float32:
            raise UserError(
                f"parameter {where} is {array.dtype}{list(array.shape)} as exported, and these "
                f"sizes need float32{list(tensor.shape)}: give the configuration it was made with"
            )
        result[tensor.name] = np.ascontiguousarray(array)
    if ours:
        raise UserError(
            f"parameter {'/'.join(min(ours))} is unknown to T5.1.0 at these sizes: "
            "give the configuration the model was made with"
        )
    return result


def _sizes(model: ModelConfig) -> dict[str, int]:
    return {
        "vocab_size": model.vocab_size,
        "d_model": model.emb_dim,
        "d_kv": model.head_dim,
        "d_ff": model.mlp_dim,
        "num_heads": model.num_heads,
        "num_layers": model.num_encoder_layers,
        "num_decoder_layers": model.num_decoder_layers,
    }


def config_of(model: ModelConfig) -> dict[str, Any]:
    """Returns the content of ``config.json`` for a T5.1.0 of these sizes.

    >>> from spactor.config import PAPER
    >>> config = config_of(PAPER["base"].model)
    >>> config["d_model"], config["d_kv"], config["feed_forward_proj"]
    (768, 64, 'relu')
    """
    return {
        **_FIXED,
        **_sizes(model),
        "architectures": ["T5ForConditionalGeneration"],
        "dropout_rate": model.dropout_rate,
        "initializer_factor": 1.0,
        "use_cache": True,
        "dtype": "float32",
    }


def save(
    folder: Path,
    params: Params,
    model: ModelConfig,
    *,
    vocabulary: bytes,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes a folder that `transformers` loads; the folder appears only when complete.

    Args:
      folder: new folder, which must not exist; parents are created.
      params: parameters of either stage.
      model: the sizes of the model.
      vocabulary: serialised SentencePiece model that the model was trained with.
      about: provenance of the model, as plain data.

    Raises:
      UserError: the folder exists, or parameters, sizes and vocabulary don't fit each other.
    """
    folder = folder.resolve()
    _require_new(folder)
    tensors = to_tensors(params, model)
    files = tokenizer_files(vocabulary, model.vocab_size) | {
        CONFIG_FILE: _json(config_of(model)),
        GENERATION_FILE: _json({**_SPECIAL_IDS, "do_sample": False, "num_beams": 1}),
    }
    if about is not None:
        files[ABOUT_FILE] = _json(about)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        # Some versions of `transformers` load only files marked as PyTorch's.
        save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        # safetensors makes its file readable by the owner alone; use the default mode instead.
        (temporary / WEIGHTS_FILE).chmod((temporary / CONFIG_FILE).stat().st_mode)
        for path in (*temporary.iterdir(), temporary):
            make_durable(path)
        # Another process may have created the folder in the meantime.
        _require_new(folder)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    make_durable(folder.parent)


def load(folder: Path, model: ModelConfig) -> Params:
    """Reads the parameters of a T5.1.0 in the Hugging Face format.

    Args:
      folder: folder with ``config.json`` and ``model.safetensors``.
      model: the expected sizes; those of generator and RTD head are ignored.

    Returns:
      Nested dictionaries of float32 NumPy arrays: a discriminator without generator and RTD
      head, as after τ.

    Raises:
      UserError: a file is missing or damaged, the model is of another kind or size, or a tensor
        is missing, unknown, or of another shape or type.
    """
    _check_config(folder / CONFIG_FILE, model)
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="numpy") as file:
            return _params(file, model, path)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: save the model again, as safetensors and in one file"
        ) from None
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): copy or export it again") from None


def _params(file: Any, model: ModelConfig, path: Path) -> Params:
    """Returns the parameter tree of an open file of tensors."""
    names = set(file.keys())
    expected = {tensor.name: tensor for tensor in _tensors(model)}
    if missing := [name for name in expected if name not in names]:
        raise UserError(f"{path} has no tensor {missing[0]}: give a whole T5.1.0 of this size")
    if unknown := sorted(names - expected.keys() - {*_TIED, _UNUSED}):
        raise UserError(f"{path}: unknown tensor {unknown[0]}: give a T5.1.0 of this size")
    for name, tensor in expected.items():
        entry = file.get_slice(name)
        shape, dtype = tuple(entry.get_shape()), entry.get_dtype()
        if (shape, dtype) != (tensor.shape, _DTYPE):
            raise UserError(
                f"{path}: tensor {name} is {dtype}{list(shape)}, and this model needs "
                f"{_DTYPE}{list(tensor.shape)}: give a model of this size, saved in float32"
            )
    for name in _TIED:
        if name in names and not np.array_equal(
            file.get_tensor(name), file.get_tensor("shared.weight")
        ):
            raise UserError(
                f"{path}: {name} differs from shared.weight, and T5.1.0 ties them: give a T5.1.0"
            )
    flat = {}
    for name, tensor in expected.items():
        array = file.get_tensor(name)
        flat[tensor.path] = np.ascontiguousarray(array.T if tensor.transposed else array)
    return traverse_util.unflatten_dict(flat)


def _check_config(path: Path, model: ModelConfig) -> None:
    try:
        found = strict_json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} can't be read ({error}): give a folder in the Hugging Face format"
        ) from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is not a JSON object: give a folder in the Hugging Face format")
    # Older files of T5.1.0 have one depth for both stacks.
    assumed = {**_FIXED, "num_decoder_layers": found.get("num_layers")}
    for key, value in {**_FIXED, **_sizes(model)}.items():
        actual = found.get(key, assumed.get(key))
        if actual != value:
            raise UserError(
                f"{path}: {key} is {actual!r}, and this model needs {value!r}: "
                "give a T5.1.0 of this size"
            )


def _require_new(folder: Path) -> None:
    if folder.exists():
        raise UserError(f"{folder} exists: name another folder, or remove it first")


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
