"""The quality report of a synthesis run, over a stated sample of its records."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from data_gen.coverage import coverage_report, index_documents
from data_gen.dedup import duplicate_report, text_of
from data_gen.diversity import HASHED, Embedding, diversity_report
from data_gen.jsonl import read_jsonl, write_json
from data_gen.samples_page import write_samples_page
from data_gen.schema import Document, Record, from_row

COVERAGE_RECORDS = 50_000  # coverage grows with the records looked at, and is cheap: all of them up to this number
VENDI_TEXTS = 256  # an eigenvalue problem of this size takes a fraction of a second


def every_nth(path: pathlib.Path, step: int) -> Iterator[Record]:
  """Every `step`-th record of a file."""
  for number, row in read_jsonl(path):
    if (number - 1) % step == 0:
      yield from_row(Record, row, f'{path}:{number}')


def quality_report(out: pathlib.Path, documents: Sequence[Document], records: dict[str, int],
                   sample: int = 2000, embedding: Embedding | None = None) -> dict[str, Any]:
  """Writes `quality.json` and `samples_page.html` for the records of a run.

  Args:
    records: number of records in `out/records.<method>.jsonl`, by method.
    sample: most records of a method that duplicates and diversity are measured on, evenly spaced over its file.
    embedding: what the Vendi score compares texts by; hashed TF-IDF if none is named.

  Returns:
    The content of quality.json: by method duplicates, diversity and coverage, with the sizes of the samples.
  """
  report: dict[str, Any] = {}
  index = index_documents(documents)
  for method, n in records.items():
    path = out / f'records.{method}.jsonl'
    looked_at = list(every_nth(path, -(-n // sample)))
    texts = [text_of(r) for r in looked_at[::-(-len(looked_at) // VENDI_TEXTS)]]
    report[method] = {
        'records': n, 'sample': len(looked_at),
        'duplicates': duplicate_report(looked_at),
        'diversity': diversity_report(texts, embedding or HASHED),
        'coverage': coverage_report(index, every_nth(path, -(-n // COVERAGE_RECORDS)))
                    | {'sample': -(-n // -(-n // COVERAGE_RECORDS))},
    }
  write_json(out / 'quality.json', report)
  write_samples_page(out / 'samples_page.html', documents, {m: out / f'records.{m}.jsonl' for m in records})
  return report
