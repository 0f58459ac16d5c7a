"""Analytic FLOPs of pre-training, term by term.

Assumptions:

* Only matrix products count, and a multiply-add is 2 FLOPs. Softmax, norms, activations, dropout,
  embedding gathers, sampling and the optimizer are left out.
* The backward pass costs twice the forward pass: one product for the inputs' gradient and one for
  the weights' gradient. One-hot inputs have no gradient, so the backward pass of a one-hot lookup
  costs as much as its forward pass.
* Attention scores are counted over all pairs of positions; a causal mask saves nothing.
* The generator projects to the vocabulary at its q masked positions only, where q is the largest
  number that a curriculum masks, and tokens are looked up by a gather. One-hot lookups and the
  projection of all positions count if the model's options enable them. A generator with a decoder
  decodes all n positions.
* Encoder and generator process n positions, the decoder m, eos included (``CorruptionLengths``).

Sources: Section 2.1 (the computation), Table 5 (sizes), Section 3.2.3 (use).
"""

from __future__ import annotations

import math

from spactor.config import STAGES, PretrainConfig, Stage
from spactor.errors import UserError

BACKWARD_OVER_FORWARD = 2.0


def terms(config: PretrainConfig, stage: Stage) -> dict[str, float]:
    """Forward FLOPs of one sequence, by term.

    Args:
      config: shapes and lengths.
      stage: ``hybrid`` adds the generator and the RTD head.

    Returns:
      FLOPs by name of the term, ``PART/TERM``, such as ``encoder/attention_projections``.

    Raises:
      UserError: ``stage`` is unknown.

    >>> from spactor.config import PAPER
    >>> for name, flops in terms(PAPER["base"], "hybrid").items():
    ...     print(f"{name:38} {flops / 1e9:7.2f} GFLOPs")
    encoder/attention_projections            28.99 GFLOPs
    encoder/attention_scores                  9.66 GFLOPs
    encoder/mlp                              57.98 GFLOPs
    decoder/self_attention_projections        6.46 GFLOPs
    decoder/self_attention_scores             0.48 GFLOPs
    decoder/cross_attention_projections      17.72 GFLOPs
    decoder/cross_attention_scores            2.15 GFLOPs
    decoder/mlp                              12.91 GFLOPs
    decoder/logits                            5.63 GFLOPs
    generator/attention_projections           9.66 GFLOPs
    generator/attention_scores                3.22 GFLOPs
    generator/mlp                             6.44 GFLOPs
    generator/logits                          3.55 GFLOPs
    rtd_head/mlp                              2.42 GFLOPs
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {stage!r}: give one of {', '.join(STAGES)}")
    model, lengths = config.model, config.training_lengths
    n, m, q = lengths.input_tokens, lengths.target_tokens, lengths.masked_tokens
    d, inner = model.emb_dim, model.num_heads * model.head_dim

    def products(rows: int, columns: int, depth: int) -> float:
        return 2.0 * rows * columns * depth

    def scores(queries: int, keys: int) -> float:
        return 2 * products(queries, keys, inner)  # queries on keys, then weights on values

    encoder, decoder, generator = (
        model.num_encoder_layers,
        model.num_decoder_layers,
        model.generator_num_layers,
    )
    counted = {
        "encoder/attention_projections": encoder * 4 * products(n, inner, d),
        "encoder/attention_scores": encoder * scores(n, n),
        "encoder/mlp": encoder * 2 * products(n, model.mlp_dim, d),
        "decoder/self_attention_projections": decoder * 4 * products(m, inner, d),
        "decoder/self_attention_scores": decoder * scores(m, m),
        "decoder/cross_attention_projections": decoder
        * (2 * products(m, inner, d) + 2 * products(n, inner, d)),
        "decoder/cross_attention_scores": decoder * scores(m, n),
        "decoder/mlp": decoder * 2 * products(m, model.mlp_dim, d),
        "decoder/logits": products(m, model.vocab_size, d),
    }
    if stage == "hybrid":
        counted |= {
            "generator/attention_projections": generator * 4 * products(n, inner, d),
            "generator/attention_scores": generator * scores(n, n),
            "generator/mlp": generator * 2 * products(n, model.generator_mlp_dim, d),
            "generator/decoder": model.generator_num_decoder_layers
            * (
                8 * products(n, inner, d)  # queries, keys, values and outputs, twice
                + 2 * scores(n, n)
                + 2 * products(n, model.generator_mlp_dim, d)
            ),
            "generator/logits": products(
                n if model.project_all_positions else q, model.vocab_size, d
            ),
            "rtd_head/mlp": products(n, model.rtd_mlp_dim, d) + products(n, 1, model.rtd_mlp_dim),
        }
    if model.one_hot_embedding:
        looked_up = {"encoder": n, "decoder": m}
        if stage == "hybrid":
            looked_up |= {"generator": n, "encoder": q if model.reuse_embedding else n}
            if model.generator_num_decoder_layers:
                looked_up["generator_decoder"] = n
        counted |= {
            f"{part}/embedding": products(tokens, d, model.vocab_size)
            for part, tokens in looked_up.items()
        }
    return {name: flops for name, flops in counted.items() if flops}


def step_terms(config: PretrainConfig, stage: Stage) -> dict[str, float]:
    """FLOPs of one training step by term: the whole batch, forward and backward.

    Raises:
      UserError: ``stage`` is unknown.
    """
    passes = 1.0 + BACKWARD_OVER_FORWARD
    return {
        name: config.batch_size * forward * (2.0 if name.endswith("/embedding") else passes)
        for name, forward in terms(config, stage).items()
    }


def step_flops(config: PretrainConfig, stage: Stage) -> float:
    """FLOPs of one training step: the whole batch, forward and backward.

    Raises:
      UserError: ``stage`` is unknown.

    >>> from spactor.config import PAPER
    >>> plain = step_flops(PAPER["base"], "span_corruption")
    >>> hybrid = step_flops(PAPER["base"], "hybrid")
    >>> f"{plain:.3e} {hybrid:.3e} {hybrid / plain:.3f}"
    '8.723e+14 1.028e+15 1.178'
    """
    return sum(step_terms(config, stage).values())


def pretraining_flops(config: PretrainConfig, tau_steps: float, steps: int) -> float:
    """FLOPs of ``steps`` steps of pre-training, the first ``tau_steps`` of them hybrid.

    Args:
      config: shapes, lengths and batch size.
      tau_steps: τ in the run's own steps; ``math.inf`` for the hybrid objective throughout.
      steps: length of pre-training in the run's own steps.

    Raises:
      UserError: a number of steps is negative, or τ is NaN.

    >>> from spactor.config import PAPER
    >>> baseline = pretraining_flops(PAPER["base"], 0, 500_000)
    >>> round(pretraining_flops(PAPER["base"], 250_000, 500_000) / baseline, 3)
    1.089
    """
    if math.isnan(tau_steps) or tau_steps < 0 or steps < 0:
        raise UserError(f"τ of {tau_steps} and {steps} steps: give 0 or more of both")
    hybrid = min(tau_steps, steps)
    plain = steps - hybrid
    return hybrid * step_flops(config, "hybrid") + plain * step_flops(config, "span_corruption")
