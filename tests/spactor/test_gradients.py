"""Gradients against numerical ones and the naive objective's, and which parameters they reach."""

from __future__ import annotations

import dataclasses
import types

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from tiny_model import CORRUPT, SAMPLE_KEYS, VOCABULARY, one_layer_config

from spactor import network, objective, step
from spactor.curriculum import Weights
from spactor.network import Network
from spactor.products import dense_product

CONFIG = one_layer_config()


@pytest.fixture(scope="module")
def weighted(batch):
    """Compiled ``(parameters, λ1, λ2) → (loss, gradient)``."""

    @jax.jit
    @jax.value_and_grad
    def ours(params, rtd, sc):
        weights = Weights(rtd, sc)
        network = Network(CONFIG.model)
        return objective.hybrid_loss(
            network, params, batch, CONFIG.objective, SAMPLE_KEYS, None, weights
        )[0]

    return ours


@pytest.fixture(scope="module")
def term_gradients(weighted, params):
    """What each term adds to the gradient; nothing, to the last bit, where it doesn't reach."""
    generator = weighted(params, 0.0, 0.0)[1]
    added = {
        name: jax.tree.map(jnp.subtract, weighted(params, *weights)[1], generator)
        for name, weights in (("rtd", (1.0, 0.0)), ("sc", (0.0, 1.0)))
    }
    return {"generator": generator, **added}


def _is_zero(tree) -> bool:
    return all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "term, parts",
    [
        ("generator", {"generator", "token_embedder"}),
        ("rtd", {"rtd_head", "encoder", "token_embedder"}),
        ("sc", {"encoder", "decoder", "token_embedder"}),
    ],
)
def test_where_gradients_go(term_gradients, term: str, parts: set[str]) -> None:
    """Exactly zero elsewhere: no gradient flows through sampled tokens."""
    touched = {name for name, tree in term_gradients[term].items() if not _is_zero(tree)}
    assert touched == parts


def test_which_embedding_rows_each_term_changes(term_gradients, batch, noisy) -> None:
    """Only rows that were looked up: L_RTD does not reach other tokens through the generator."""
    for term, read in (
        ("generator", np.unique(batch.masked_tokens)),
        ("rtd", np.unique(noisy)),
    ):
        gradient = np.asarray(term_gradients[term]["token_embedder"]["embedding"])
        assert set(np.flatnonzero(gradient.any(axis=1))) <= set(read.tolist()), term
        assert gradient[read].any()


@pytest.fixture(scope="module")
def naive_terms(params, batch, noisy):
    """Values of the naive terms, and their gradients one by one."""
    model = Network(CONFIG.model)

    @jax.jit
    def evaluate(params):
        terms, pull_back = jax.vjp(
            lambda p: naive.dense_terms(model, p, batch, noisy, CONFIG.objective.z_loss), params
        )
        return terms, {
            name: pull_back({other: jnp.float32(other == name) for other in terms})[0]
            for name in terms
        }

    return evaluate(params)


@pytest.mark.parametrize("absent", [None, "rtd", "sc"])
def test_loss_and_gradient_equal_the_naive_ones(weighted, params, naive_terms, absent) -> None:
    """Masked positions only and one lookup change nothing; λ = 0 equals the term's absence."""
    weights = {"rtd": 10.0, "sc": 10.0} | ({absent: 0.0} if absent else {})
    loss, gradient = weighted(params, **weights)
    terms, gradients = naive_terms
    present = {name: weights.get(name, 1.0) for name in terms if name != absent}
    expected = sum(weight * float(terms[name]) for name, weight in present.items())
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    summed = jax.tree.map(
        lambda *leaves: sum(w * leaf for w, leaf in zip(present.values(), leaves, strict=True)),
        *(gradients[name] for name in present),
    )
    for (path, mine), other in zip(
        jax.tree.leaves_with_path(gradient), jax.tree.leaves(summed), strict=True
    ):
        scale = float(jnp.max(jnp.abs(other)))
        np.testing.assert_allclose(mine, other, rtol=0, atol=2e-5 * scale, err_msg=str(path))
    # The gradient of an absent term is exactly zero, and test_optimizer.py shows what that moves.
    assert _is_zero(gradient["rtd_head"]) == (absent == "rtd")
    assert _is_zero(gradient["decoder"]) == (absent == "sc")


@pytest.fixture
def double(monkeypatch):
    """Network and losses in double precision, also where they ask for float32 by name."""
    twin = types.SimpleNamespace(**(vars(jnp) | {"float32": jnp.float64}))
    for module in (network, objective):
        monkeypatch.setattr(module, "jnp", twin)
    with jax.enable_x64(True):
        yield


def test_gradient_equals_the_numerical_one(double, monkeypatch, chunks) -> None:
    """Central differences in double precision, every tensor moved by itself.

    The differences hold the sampled tokens fixed and the gradient does not, so they agree only if
    no gradient flows through the sampling.
    """
    # float64 is not a valid setting of a profile; it is used only here.
    model = Network(dataclasses.replace(CONFIG.model, compute_dtype="float64"))
    params = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float64), step.init_state(CONFIG, 0, "hybrid").params
    )
    batch = CORRUPT(jnp.asarray(chunks), SAMPLE_KEYS, CONFIG.lengths, VOCABULARY)
    sample = objective.sample_replacements
    sampled = []

    def loss(params):
        return objective.hybrid_loss(model, params, batch, CONFIG.objective, SAMPLE_KEYS)[0]

    def sample_and_record(*given):
        tokens = sample(*given)
        jax.debug.callback(sampled.append, tokens)
        return tokens

    monkeypatch.setattr(objective, "sample_replacements", sample_and_record)
    gradient = jax.jit(jax.grad(loss))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {np.dtype("float64")}
    jax.effects_barrier()
    assert len(sampled) == 1
    monkeypatch.setattr(objective, "sample_replacements", lambda *_: sampled[0])
    held = jax.jit(loss)
    rng = np.random.default_rng(0)
    leaves, structure = jax.tree.flatten(params)
    size = 1e-6
    for index, (path, slope) in enumerate(jax.tree.leaves_with_path(gradient)):
        direction = rng.normal(size=slope.shape)

        def along(signed: float, index: int = index, direction: np.ndarray = direction) -> float:
            moved = [*leaves]
            moved[index] = moved[index] + signed * direction
            return float(held(jax.tree.unflatten(structure, moved)))

        numerical = (along(size) - along(-size)) / (2 * size)
        exact = float(jnp.sum(slope * direction))
        scale = float(jnp.linalg.norm(slope))
        assert abs(exact - numerical) < 1e-5 * scale, jax.tree_util.keystr(path)


@pytest.mark.parametrize("features", [5, 7, 11])
def test_gradients_of_a_projection_equal_those_that_jax_derives(features: int) -> None:
    """A kernel that is wider, one that is square, and one that is narrower than its inputs."""
    inputs_key, kernel_key, grad_key = jax.random.split(jax.random.key(0), 3)
    inputs = jax.random.normal(inputs_key, (3, 4, 7))
    kernel = jax.random.normal(kernel_key, (7, features))
    grad = jax.random.normal(grad_key, (3, 4, features))
    ours, expected = (
        jax.jit(lambda *operands, product=product: jax.vjp(product, *operands)[1](grad))
        for product in (lambda x, k: dense_product(x, k, None), jnp.matmul)
    )
    for found, other in zip(ours(inputs, kernel), expected(inputs, kernel), strict=True):
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-5)
