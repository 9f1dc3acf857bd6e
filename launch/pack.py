"""Packs records.jsonl files into rows for training.

  python -m launch.pack --records='data/*/records.jsonl' --tokenizer=DIR --out=packed --sequence_length=2048
"""

from absl import flags

from launch import paths
from launch.app import run
from smt_jax.data.pack import pack

_RECORDS = paths.reads_list(
    'records', None, 'Paths or globs of records.jsonl files, separated by commas.', required=True)
_TOKENIZER = paths.reads('tokenizer', None, "Folder of the student's tokenizer.", required=True)
_OUT = paths.writes('out', None, 'Folder to write the packed rows into.', required=True)
_SEQUENCE_LENGTH = flags.DEFINE_integer('sequence_length', 2048, 'Tokens in a row.')
_BY = flags.DEFINE_enum(
    'by', 'kind', ['kind', 'source'],
    'What a row holds: records of one kind (QAs, documents, replay), or QAs and documents of one source document.')
_LOSS_ON_PROMPT = flags.DEFINE_bool(
    'loss_on_prompt', False, "Take the loss on the prompt part of conversations too, not on the answers alone.")
_HELD_OUT = flags.DEFINE_float(
    'held_out', 0.0, 'Share of the records of each kind that is kept from training, for the loss on unseen records.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the order in which records are packed.')
_WORKERS = flags.DEFINE_integer(
    'workers', 1, 'Processes that tokenize and write; the rows do not depend on it.', lower_bound=1)


def main() -> None:
  summary = pack(
      _RECORDS.value, _TOKENIZER.value, _OUT.value, _SEQUENCE_LENGTH.value, by=_BY.value,
      loss_on_prompt=_LOSS_ON_PROMPT.value, held_out=_HELD_OUT.value, seed=_SEED.value, workers=_WORKERS.value)
  if summary['already_done']:
    print('already done: these records are packed here with these settings')
  for name, source in summary['sources'].items():
    print(f'{name}: {source["records"]:,} records, {source["tokens"]:,} tokens in {source["rows"]:,} rows '
          f'({source["fill"]:.1%} full, {source["split_records"]:,} records cut)')
  print(f'packed rows: {_OUT.value}')


if __name__ == '__main__':
  run(main)
