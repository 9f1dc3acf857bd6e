"""Our figures, and a peer's beside them in the same run: `python -m launch.benchmark --suite=NAME --out=DIR`."""

from absl import flags

from data_gen.errors import UserError
from launch import app, paths

SUITES = ('train', 'checkpoint', 'decode', 'input', 'client')

_SUITE = flags.DEFINE_enum('suite', None, list(SUITES), 'What is measured. train: the training step; decode: '
                           'generation; both beside Hugging Face with --peer_python. checkpoint: saving, reading '
                           'and restarting, with the rows and the first of the variants of train. input: the rows of '
                           'a run, as fast as they come. client: the hosted generator beside a bare loop over the '
                           'same client library, its memory, its promises under chaos.', required=True)
_OUT = paths.writes('out', None, 'Folder for <suite>.json and a table, <suite>.md.', required=True)
_PEER = flags.DEFINE_string('peer_python', '', 'train, decode: interpreter with torch and transformers that runs the '
                            'peer, before ours and in a process of its own; empty: no peer.')
_PEER_TIMEOUT = flags.DEFINE_float('peer_timeout', 1800, 'train, decode: seconds that the peer may take.')
_PEER_ARGUMENTS = flags.DEFINE_list('peer_arguments', [], 'train, decode: flags of the script in launch/peers, '
                                    'e.g. --ways=compile or --rows=256.')
_PRESET = flags.DEFINE_string('preset', 'llama8b', 'train, decode: shapes of the model, llama8b or tiny.')
_LAYERS = flags.DEFINE_integer('layers', 0, 'train, decode: another depth for the model, 0: its own.')
_ROWS = flags.DEFINE_integer('rows', 0, 'train: rows a device and step, 0: 4. decode: prompts, 0: as the '
                             'engine chooses.', lower_bound=0)
_LENGTH = flags.DEFINE_integer('sequence_length', 2048, 'train: tokens a row.', lower_bound=2)
_VARIANTS = flags.DEFINE_list('variants', ['default', 'default+packed', 'bf16'], 'train: states of the optimizer, '
                              'default (float32 weights and second moment, bfloat16 first moment) or bf16 (all of it), '
                              'each with +packed for rows of several documents.')
_REMAT = flags.DEFINE_enum('remat', 'auto', ['auto', 'none', 'products', 'attention', 'full'],
                           'train: step.remat of the configuration.')
_ATTENTION = flags.DEFINE_enum('attention', 'auto', ['auto', 'xla', 'cudnn', 'pallas'],
                               'train, decode: kernel, as step.attention of the configuration.')
_COMPILER = flags.DEFINE_list('compiler_options', [], 'train: settings of the XLA compiler over those of the project, '
                              'NAME=VALUE; NAME= takes one away.')
_TRACE = flags.DEFINE_bool('trace', False, 'train: also how long a step computes, communicates with nothing to hide '
                           'it, and does neither, on GPUs; kernels are in the JSON file.')
_STEPS = flags.DEFINE_integer('steps', 20, 'train, input: timed steps.', lower_bound=1)
_PROMPT = flags.DEFINE_integer('prompt_tokens', 1024, 'decode: tokens a prompt.', lower_bound=2)
_NEW = flags.DEFINE_integer('new_tokens', 512, 'decode: tokens a continuation.', lower_bound=1)
_QUESTIONS = flags.DEFINE_integer('questions', 0, 'decode: closed-book questions of 256 new tokens, measured apart.',
                                 lower_bound=0)
_DATA = flags.DEFINE_string('data', '', 'input: folder written by launch.pack.')
_REPLAY = flags.DEFINE_string('replay', '', 'input: packed replay folder; empty: no replay.')
_REQUESTS = flags.DEFINE_integer('requests', 4000, 'client: requests of one throughput round, 0: leave this part out.')
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'client: throughput rounds of each side, in turns.')
_MEMORY = flags.DEFINE_integer('memory_requests', 100_000, 'client: requests over which memory is watched, 0: none.')
_CHAOS = flags.DEFINE_integer('chaos_requests', 100_000, 'client: requests of the chaos run, 0: none.')
_KILLS = flags.DEFINE_integer('kills', 5, 'client: kill -9s during the chaos run.')
_RATE = flags.DEFINE_float('rate', 200.0, 'client: requests a second that the server admits in the chaos run.')
_OUTAGE = flags.DEFINE_float('outage', 20.0, 'client: seconds for which the server is gone in the chaos run.')


def main() -> None:
  peer = {'peer_python': _PEER.value, 'peer_timeout': _PEER_TIMEOUT.value,
          'peer_arguments': tuple(_PEER_ARGUMENTS.value)}
  if _SUITE.value == 'train':
    from smt_jax import xla_flags
    from smt_jax.benchmarks import train
    print(train.run(_OUT.value, preset=_PRESET.value, layers=_LAYERS.value, sequence_length=_LENGTH.value,
                    rows=_ROWS.value or 4, variants=tuple(_VARIANTS.value), remat=_REMAT.value, steps=_STEPS.value,
                    attention=_ATTENTION.value, options=xla_flags.parse(_COMPILER.value), traced=_TRACE.value, **peer))
  elif _SUITE.value == 'checkpoint':
    from smt_jax.benchmarks import checkpoints
    print(checkpoints.run(_OUT.value, preset=_PRESET.value, layers=_LAYERS.value, sequence_length=_LENGTH.value,
                          rows=_ROWS.value or 4, variant=_VARIANTS.value[0], remat=_REMAT.value,
                          steps=_STEPS.value))
  elif _SUITE.value == 'decode':
    from smt_jax.benchmarks import decode
    print(decode.run(_OUT.value, preset=_PRESET.value, layers=_LAYERS.value, rows=_ROWS.value,
                     prompt_tokens=_PROMPT.value, new_tokens=_NEW.value, questions=_QUESTIONS.value,
                     attention=_ATTENTION.value, **peer))
  elif _SUITE.value == 'input':
    if not _DATA.value:
      raise UserError('--data: expected a folder written by launch.pack, for --suite=input')
    from smt_jax.benchmarks import inputs
    print(inputs.run(_OUT.value, _DATA.value, _REPLAY.value, rows=_ROWS.value or 16, steps=_STEPS.value))
  else:
    from data_gen import benchmark_client
    found = benchmark_client.run(
        _OUT.value, requests=_REQUESTS.value, rounds=_ROUNDS.value, memory_requests=_MEMORY.value,
        chaos_requests=_CHAOS.value, kills=_KILLS.value, rate=_RATE.value, outage=_OUTAGE.value)
    print('\n'.join(benchmark_client.lines(found)))
  print(f'figures: {_OUT.value}/{_SUITE.value}.json')


if __name__ == '__main__':
  app.run(main)
