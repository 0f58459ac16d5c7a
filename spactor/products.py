"""Products of activations and kernels with kernel gradients that are faster on a CPU.

XLA spends a quarter of a training step (width 64 and three layers, one core) in the gradients of
kernels, for some of which it copies an operand first. Three changes reduce the time of a step
to about three quarters: kernel gradients as products of two matrices, divided hidden vectors
instead of divided logits, and roots instead of powers in Adafactor (:mod:`spactor.optimizer`);
``tests/benchmarks/test_step_time.py`` measures it.

These did not help: one product for query, key and value; transposing heads once; a softmax or
an attention with gradients written by hand; dividing after the weighted sum of values; a norm with
a gradient by hand (3 % of an encoder layer at most); a cross-entropy with one (a fifth slower); and
XLA's flags for wider vectors, fast minima, older fusions, other schedulers, or without its library
of reductions; computing the position bias once, behind a barrier; other products for the gradients
of the logits. Eight steps in one dispatch (``jax.lax.scan``) would save another 5 %.
"""

from __future__ import annotations

from typing import Any

import jax

Array = jax.Array


def dense_product(
    inputs: Array, kernel: Array, dimension_numbers: Any, precision: None = None
) -> Array:
    """Multiplies ``inputs`` ``[..., D]`` by ``kernel`` ``[D, F]``; an argument of ``nn.Dense``.

    On a CPU the kernel's gradient is a product of two matrices. On other platforms it is the
    product over all leading dimensions that JAX derives, so their programs do not change.
    """
    del dimension_numbers, precision
    return _product(inputs, kernel)


def _plain(inputs: Array, kernel: Array) -> Array:
    return jax.lax.dot_general(inputs, kernel, (((inputs.ndim - 1,), (0,)), ((), ())))


@jax.custom_vjp
def _product(inputs: Array, kernel: Array) -> Array:
    return _plain(inputs, kernel)


def _forward(inputs: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _plain(inputs, kernel), (inputs, kernel)


def _backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    inputs, kernel = saved

    def kernel_gradient(inputs: Array, grad: Array) -> Array:
        return jax.linear_transpose(lambda k: _plain(inputs, k), kernel)(grad)[0]

    (inputs_gradient,) = jax.linear_transpose(lambda x: _plain(x, kernel), inputs)(grad)
    return inputs_gradient, jax.lax.platform_dependent(
        inputs, grad, cpu=_kernel_gradient_on_cpu, default=kernel_gradient
    )


def _kernel_gradient_on_cpu(inputs: Array, grad: Array) -> Array:
    flat_inputs, flat_grad = (x.reshape(-1, x.shape[-1]) for x in (inputs, grad))
    if flat_inputs.shape[1] > flat_grad.shape[1]:
        return flat_inputs.T @ flat_grad
    # Without the barrier XLA converts it to the product above, which is slower for narrow inputs.
    return jax.lax.optimization_barrier(flat_inputs.T) @ flat_grad


_product.defvjp(_forward, _backward)
