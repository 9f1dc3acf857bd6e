"""Compiler settings of the training step, given with the program instead of through the environment.

Flags in `XLA_FLAGS` that a jaxlib no longer knows end the process; options of a compilation can be tried and left out.
docs/performance.md says what each is worth.
"""

import functools
import logging
import re
from collections.abc import Sequence
from typing import Any

import jax

from data_gen.errors import UserError

_log = logging.getLogger(__name__)

Options = dict[str, bool | int | str | None]

_GPU: Options = {
    'xla_gpu_enable_triton_gemm': False,  # cuBLAS is faster for every product of these shapes, and compiles sooner
    'xla_gpu_enable_dynamic_slice_fusion': False,  # it keeps the loss's products from being tuned
}
_GPUS: Options = {
    'xla_gpu_enable_latency_hiding_scheduler': True,  # weights are gathered while the layer before computes
    'xla_gpu_experimental_collective_start_as_early_as_possible': True,
    'xla_gpu_all_gather_combine_threshold_bytes': 2**30,
    'xla_gpu_reduce_scatter_combine_threshold_bytes': 2**29,  # a layer of 8B: the last one is waited for
    'xla_gpu_enable_pipelined_all_gather': True,
    'xla_gpu_enable_pipelined_reduce_scatter': True,
}


def options(platform: str, devices: int) -> Options:
  """The settings for a step on so many devices; none for CPUs and TPUs, whose defaults are right."""
  return {**_GPU, **(_GPUS if devices > 1 else {})} if platform == 'gpu' else {}


def parse(settings: Sequence[str]) -> Options:
  """'name=True', 'name=3', 'name=text' as settings; 'name=' takes one of ours away.

  Raises:
    UserError: no '='.
  """
  found: Options = {}
  for setting in settings:
    name, equals, value = setting.partition('=')
    if not equals:
      raise UserError(f'compiler setting {setting!r}: expected NAME=VALUE')
    number = int(value) if value.lstrip('-').isdigit() else value
    found[name] = {'': None, 'true': True, 'false': False}.get(value.lower(), number)
  return found


@functools.cache
def known(platform: str) -> Options:
  """Those settings for one device that this jaxlib knows."""
  def works(name: str, value: Any) -> bool:
    try:
      jax.jit(lambda x: x).lower(0.0).compile(compiler_options={name: value})
    except jax.errors.JaxRuntimeError:
      return False
    return True
  return {name: value for name, value in options(platform, 1).items() if works(name, value)}


def compile_with(lowered: jax.stages.Lowered, wanted: Options) -> jax.stages.Compiled:
  """`lowered.compile` with those of the settings that this jaxlib knows."""
  wanted = {name: value for name, value in wanted.items() if value is not None}
  while True:
    try:
      return lowered.compile(compiler_options=dict[str, Any](wanted) or None)
    except jax.errors.JaxRuntimeError as e:
      unknown = re.search(r"No such compile option: '(\w+)'", str(e))
      if not unknown or wanted.pop(unknown[1], None) is None:
        raise
      _log.info('this jaxlib does not know %s', unknown[1])
