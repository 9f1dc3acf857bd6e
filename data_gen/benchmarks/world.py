"""The miniature world as a benchmark: it goes through QuALITY's record schema and QuALITY's reader.

`--source` is a JSON spec file or an inline spec such as `study:seed=3,documents=24,genre=town+company`.
"""

from typing import Any

from data_gen.benchmarks import quality
from data_gen.benchmarks.base import Prepared
from data_gen.world import parse_specs, quality_records

OPTIONS: dict[str, Any] = {}
N_OPTIONS = quality.N_OPTIONS


def read(source: str, options: dict[str, Any]) -> Prepared:
  """Makes the worlds of the source.

  Raises:
    UserError: a missing or malformed spec file, an unknown key, a value out of range.
  """
  del options
  specs = parse_specs(source)
  prepared = quality.from_records(
    (f'{source} (document {number} of {spec.set} world {spec.seed})', record)
    for spec in specs for number, record in enumerate(quality_records(spec)))
  prepared.notes.insert(0, 'miniature world: ' + '; '.join(
    f'{s.set} seed {s.seed}, {s.documents} documents ({", ".join(s.genres)})' for s in specs))
  return prepared
