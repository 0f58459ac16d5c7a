"""A model of a few thousand parameters, for the method's own tests."""

from __future__ import annotations

from spactor.config import ModelConfig, OptimizerConfig, PretrainConfig
from spactor.data.vocabulary import VocabularyFacts

VOCABULARY = VocabularyFacts.of_pieces(512 - 101)


def tiny_config(**changes: float) -> PretrainConfig:
    """Two layers of width 16 on 48 positions; ``changes`` go to the model."""
    model = {
        "vocab_size": 512,
        "emb_dim": 16,
        "num_heads": 2,
        "head_dim": 8,
        "mlp_dim": 32,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "generator_num_layers": 1,
        "generator_mlp_dim": 16,
        "rtd_mlp_dim": 24,
        "dropout_rate": 0.0,
    }
    return PretrainConfig(
        model=ModelConfig(**(model | changes)),
        optimizer=OptimizerConfig(warmup_steps=4, learning_rate_factor=0.1),
        input_length=48,
        batch_size=4,
    )
