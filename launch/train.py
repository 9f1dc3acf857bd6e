"""Trains: python -m launch.train --config=configs/world.py:smt --workdir=DIR [--config.a.b=value ...]

Run again with the same flags, it goes on where it was, or says that all is done. Ends with code 75 when a signal
(SIGTERM, SIGUSR1) made it save and stop: launchers restart on that.
"""

import logging
import os
import sys

from absl import flags

from data_gen.errors import UserError
from launch import app, config_flag

_CONFIG = config_flag.define('config')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run: config, checkpoints, metrics, tokenizer.')
_CACHE = flags.DEFINE_string(
    'compilation_cache', os.path.join(os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache')), 'smt_jax'),
    'Folder where compiled programs are kept between runs; empty: nowhere.')


def main() -> None:
  if not _WORKDIR.value:
    raise UserError('--workdir: expected a folder for the run')
  config = config_flag.read(_CONFIG)
  from smt_jax.config import validate
  validate(config)  # before JAX takes its seconds to start

  import jax

  from smt_jax import chips, distributed, preemption
  from smt_jax.train import train
  chips.reserve_memory()
  if _CACHE.value:
    jax.config.update('jax_compilation_cache_dir', _CACHE.value)
  distributed.initialize()
  if jax.process_index() == 0:
    logging.getLogger('smt_jax').setLevel(logging.INFO)
  with distributed.leaving_together():
    result = train(config, _WORKDIR.value)
  if jax.process_index() == 0:
    loss = '' if result.loss is None else f', loss {result.loss:.4f}'
    print(f'{_WORKDIR.value}: {result.status} at step {result.step} after {result.tokens:,} tokens{loss}')
  if result.status == 'preempted':
    sys.exit(preemption.RESTART_CODE)


if __name__ == '__main__':
  app.run(main)
