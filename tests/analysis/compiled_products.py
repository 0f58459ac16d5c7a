"""The analytic count, in the words of a compiled program; for the tests of both engines' steps."""

from collections import Counter

import pytest

from analysis import flops


def expected_products(config, stage, chips):
    """The analytic terms of one chip as the compiled program names them.

    All lookups are one term, and the RTD head's last product, n vectors of the hidden width onto
    one column, is compiled to an elementwise product and a sum, so it is no product.
    """
    terms = Counter()
    for name, count in flops.step_terms(config, stage).items():
        terms["embedding" if name.endswith("/embedding") else name] += count / chips
    if stage == "hybrid":
        width = config.model.rtd_mlp_dim
        column = 2 * config.lengths.input_tokens * width
        terms["rtd_head/mlp"] -= 3 * config.batch_size * column / chips
    return dict(terms)


def assert_products_are_the_analytic_ones(cost, config, stage, biases, twice=()):
    """All of one chip.

    Args:
      biases: FLOPs of the biases by distance, which the count omits.
      twice: terms whose forward products XLA computes again, rather than store the results.
    """
    found = dict(cost.operations.products)
    assert found.pop("position_biases") == biases
    expected = expected_products(config, stage, cost.chips)
    assert found == expected | {term: expected[term] * 4 / 3 for term in twice}
    # Everything that is no product is counted an operation per element, as XLA does, within 5 %:
    # scatters and windowed sums are left out.
    rest = cost.flops - sum(cost.operations.products.values())
    assert cost.operations.total - cost.flops == pytest.approx(0.0, abs=0.05 * rest)


def biases_by_distance(config, stage):
    """Ours: [H, 32] onto [32, 2L − 1] for each stack, forward and one backward product."""
    stacks = [config.lengths.input_tokens, config.lengths.target_tokens]
    stacks += [config.lengths.input_tokens] if stage == "hybrid" else []
    return sum(2 * 2 * config.model.num_heads * 32 * (2 * length - 1) for length in stacks)


def stock_biases(config):
    """T5X's own network: [H, 32] onto [32, L²], once forward and by every layer backward."""
    model, lengths = config.model, config.lengths
    stacks = (
        (model.num_encoder_layers, lengths.input_tokens),
        (model.num_decoder_layers, lengths.target_tokens),
    )
    return sum(2 * model.num_heads * 32 * length**2 * (1 + layers) for layers, length in stacks)
