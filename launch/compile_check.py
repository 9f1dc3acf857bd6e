"""Would it fit, and how fast could it be: python -m launch.compile_check --config=... --topology=v5p:4x8x8

Compiles the whole training step for a TPU slice without the hardware (package libtpu) or for GPUs of this machine, and
estimates it for GPUs of another kind or number (h200:4). Ends with code 1 and one line where the step does not fit.
"""

import os

from absl import flags

from data_gen.errors import UserError
from launch import app, config_flag, paths
from smt_jax.chips import Topology, parse_topology

_CONFIG = config_flag.define('config')
_TOPOLOGY = flags.DEFINE_string('topology', '', 'CHIP:SHAPE, as in v5p:4x8x8, v5e:4x4 or h200:4; empty: the one of '
                                'the preset that --preset names.')
_PRESET = flags.DEFINE_string('preset', '', 'A preset of configs/pods.py in place of --config; "all", or the beginning '
                              'of names as in v5p, checks several one after the other.')
_OUT = paths.writes('out', '', 'File to which each result is appended as a JSON line; what stands in it is not '
                    'checked again.')


def main() -> None:
  if bool(_PRESET.value) == bool(_CONFIG.present):
    raise UserError('--config or --preset: expected exactly one of them')
  if _PRESET.value:
    from configs import pods
    runs = [(name, pods.get_config(name), parse_topology(pods.PRESETS[name].topology))
            for name in pods.named(_PRESET.value)]
  else:
    if not _TOPOLOGY.value:
      raise UserError('--topology: expected CHIP:SHAPE as in v5p:4x8x8, v5e:4x4 or h200:4')
    runs = [('', config_flag.read(_CONFIG), parse_topology(_TOPOLOGY.value))]
  _prepare([topology for _, _, topology in runs])
  from smt_jax import fitting
  fitting.run_all(runs, _OUT.value)


def _prepare(topologies: list[Topology]) -> None:
  """Settles JAX's platform before it starts."""
  if all(t.chip.platform == 'tpu' for t in topologies):
    os.environ['JAX_PLATFORMS'] = 'cpu'  # the compiler is asked, not a device
  import jax
  if 'xla_force_host_platform_device_count' not in os.environ.get('XLA_FLAGS', ''):
    jax.config.update('jax_num_cpu_devices', max(t.chips for t in topologies))  # an estimate lays arrays out on them


if __name__ == '__main__':
  app.run(main)
