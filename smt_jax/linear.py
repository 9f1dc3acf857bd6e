"""A weight applied to activations, with an optional low-rank adapter beside it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


class LoraParam(nnx.Variable):
  """A matrix of a low-rank adapter (Hu et al. 2021, arXiv 2106.09685); no nnx.Param, so weights stay weights."""


def linear(equation: str, x: jax.Array, w: jax.Array) -> jax.Array:
  """`jnp.einsum(equation, x, w)` whose backward products come out in the order in which they are stored.

  JAX's own rule transposes the weight's gradient, for which XLA copies the activations' gradient on a CPU: half of the
  backward pass of a small model.

  Args:
    equation: 'btd,dhn->bthn' and the like: every letter of x is in w or in the output.
  """
  return _linear(equation, x, w)


_linear = jax.custom_vjp(lambda equation, x, w: jnp.einsum(equation, x, w), nondiff_argnums=(0,))


def _forward(equation: str, x: jax.Array, w: jax.Array) -> tuple[jax.Array, Any]:
  return jnp.einsum(equation, x, w), (x, w)


def _backward(equation: str, kept: Any, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
  x, w = kept
  of_x, of_w, of_y = _letters(equation)
  dx = jnp.einsum(f'{of_y},{of_w}->{of_x}', dy, w)
  if of_w[0] in of_y:
    return dx, jnp.einsum(f'{of_y},{of_x}->{of_w}', dy, x)
  return dx, jnp.einsum(f'{of_x},{of_y}->{of_w}', x, dy)


_linear.defvjp(_forward, _backward)


def project(module: nnx.Module, name: str, equation: str, x: jax.Array) -> jax.Array:
  """`x` times the module's weight `name` in the dtype of `x`, plus its adapter's product if one is attached.

  An adapter of weight `w` is the pair `w_a` [inputs, rank], `w_b` [rank, outputs]; its scale is in `w_b`'s metadata.
  """
  y = linear(equation, x, getattr(module, name)[...].astype(x.dtype))
  a = getattr(module, f'{name}_a', None)
  if a is None:
    return y
  b = getattr(module, f'{name}_b')
  into, out = adapter_equations(equation)
  return y + linear(out, linear(into, x, a[...].astype(x.dtype)), b[...].astype(x.dtype)) * b.scale


def adapter_equations(equation: str) -> tuple[str, str]:
  """The two products of an adapter beside `equation`: 'btd,dhn->bthn' gives 'btd,dr->btr' and 'btr,rhn->bthn'."""
  of_x, of_w, of_y = _letters(equation)
  inputs = ''.join(c for c in of_w if c in of_x)
  outputs = ''.join(c for c in of_w if c not in of_x)
  rows = ''.join(c for c in of_x if c not in of_w)
  return f'{of_x},{inputs}r->{rows}r', f'{rows}r,r{outputs}->{of_y}'


def _letters(equation: str) -> tuple[str, str, str]:
  inputs, of_y = equation.split('->')
  of_x, of_w = inputs.split(',')
  return of_x, of_w, of_y
