"""A SentencePiece vocabulary as the files from which `transformers` makes a T5 tokenizer.

The ids are seqio's, sentinels included, with three exceptions. Two segmentations may be equally
likely, such as "--" "-" and "-" "--", and implementations of SentencePiece choose differently.
seqio reads a sentinel only at the start of a text or after white space: in ``a<extra_id_0>`` it
reads plain text, but `transformers` reads a sentinel, as for every T5. ``</s>``, ``<pad>`` and
``<unk>`` written in a text are plain text in seqio only.

The class is the generic one: `T5Tokenizer` of `transformers` replaces the steps in `tokenizer.json`
by its own, which put a space after every sentinel.
"""

from __future__ import annotations

import json
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from spactor.config import NUM_SENTINELS
from spactor.data.vocabulary import EOS_ID, PAD_ID, UNK_ID, processor
from spactor.errors import UserError

SENTENCEPIECE_FILE = "spiece.model"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

# The classes of this module are created at import, so type checkers do not know them.
_DEFINITIONS: Any = sentencepiece_model_pb2
_SPECIAL = {PAD_ID: "<pad>", EOS_ID: "</s>", UNK_ID: "<unk>"}
_SPACE = "▁"


def tokenizer_files(model: bytes, vocab_size: int) -> dict[str, bytes]:
    """Returns the files of a tokenizer: pieces, then 100 sentinels, ``<extra_id_0>`` last.

    Args:
      model: a serialised SentencePiece unigram model with T5's conventions.
      vocab_size: rows of the embedding; rows above the sentinels have no text.

    Returns:
      Contents by file name.

    Raises:
      UserError: another kind of model, other special pieces, or more ids than rows.
    """
    proto = _parsed(model)
    for index, text in _SPECIAL.items():
        found = proto.pieces[index].piece if index < len(proto.pieces) else None
        if found != text:
            raise UserError(
                f"piece {index} of the vocabulary is {found!r}, and {text!r} in every T5: "
                "train the vocabulary with T5's conventions"
            )
    ids = len(proto.pieces) + NUM_SENTINELS
    if ids > vocab_size:
        raise UserError(
            f"the vocabulary has {ids} ids, sentinels included, and the model {vocab_size} rows: "
            "give the vocabulary the model was trained with"
        )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": _SPECIAL[PAD_ID],
        "eos_token": _SPECIAL[EOS_ID],
        "unk_token": _SPECIAL[UNK_ID],
        # Relative positions have no limit; without this value 512 is assumed for a T5.
        "model_max_length": 10**30,
    }
    return {
        SENTENCEPIECE_FILE: model,
        TOKENIZER_FILE: _tokenizer(proto).encode(),
        CONFIG_FILE: (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
    }


def _parsed(model: bytes) -> Any:
    """Parses the model as a protocol buffer message."""
    processor(model)
    proto = _DEFINITIONS.ModelProto.FromString(model)
    if proto.trainer_spec.model_type != _DEFINITIONS.TrainerSpec.UNIGRAM:
        raise UserError("the vocabulary is not a unigram model: train it as one, as for every T5")
    return proto


def _tokenizer(proto: Any) -> str:
    try:
        return _serialised_tokenizer(proto)
    except Exception as error:
        # tokenizers raises plain Exception for invalid models.
        raise UserError(
            f"the vocabulary can't be converted to a tokenizer ({error}): give the file that the "
            "model was trained with"
        ) from error


def _serialised_tokenizer(proto: Any) -> str:
    sentinels = [f"<extra_id_{index}>" for index in reversed(range(NUM_SENTINELS))]
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(
        models.Unigram([*pieces, *((text, 0.0) for text in sentinels)], UNK_ID, False)
    )
    charsmap = proto.normalizer_spec.precompiled_charsmap
    # A run of spaces is one, and those at the end of the text are none. Each part of a text between
    # two sentinels is normalized by itself: only the first begins with a space of its own.
    spaces = [normalizers.Replace(Regex(" +"), " "), normalizers.Strip(left=False, right=True)]
    tokenizer.normalizer = normalizers.Sequence(
        [*([normalizers.Precompiled(charsmap)] if charsmap else []), *spaces]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, "first", True)
    tokenizer.decoder = decoders.Metaspace(_SPACE, "always", True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {_SPECIAL[EOS_ID]}",
        pair=f"$A {_SPECIAL[EOS_ID]} $B {_SPECIAL[EOS_ID]}",
        special_tokens=[(_SPECIAL[EOS_ID], EOS_ID)],
    )
    tokenizer.add_special_tokens(
        [
            *(AddedToken(text, special=True, normalized=False) for text in _SPECIAL.values()),
            # seqio's sentinel takes the space before it along.
            *(
                AddedToken(text, special=True, normalized=False, lstrip=True)
                for text in reversed(sentinels)
            ),
        ]
    )
    return tokenizer.to_str(pretty=True)
