"""Which of QuALITY's files to read: a folder, the published zip, or files named one by one."""

import dataclasses
import io
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from data_gen.benchmarks.base import expand
from data_gen.errors import UserError
from data_gen.jsonl import INVALID_BYTES, parse_jsonl, read_jsonl

# Articles and labelled questions by split, from the README of the QuALITY v1.0.1 release.
PUBLISHED = {('train',): (150, 2523), ('dev',): (115, 2086), ('dev', 'train'): (265, 4609)}

_SPLIT = re.compile(r'QuALITY\.v[\d.]+?(\.htmlstripped)?\.(?P<split>train|dev|test)(\.jsonl)?(\.gz|\.zst)?$')


@dataclasses.dataclass(frozen=True)
class Member:
  """One file to read: on disk, or inside a zip."""
  path: pathlib.Path
  inside: str = ''

  @property
  def name(self) -> str:
    return self.inside or self.path.name

  def __str__(self) -> str:
    return f'{self.path}/{self.inside}' if self.inside else str(self.path)


@dataclasses.dataclass
class Chosen:
  files: list[Member]
  paths: list[pathlib.Path]
  notes: list[str]


def split_of(name: str) -> str | None:
  """'train', 'dev' or 'test' from a published file name, else None."""
  found = _SPLIT.search(name)
  return found['split'] if found else None


def choose(source: str) -> Chosen:
  """The files to read.

  A folder or zip gives its train and dev files, stripped ones before HTML, and any other `.jsonl`; a folder without
  such files gives those of the zip in it. Files named one by one are read as they are.

  Raises:
    UserError: nothing to read; only the unlabelled test split.
  """
  paths = expand(source)
  files: list[Member] = []
  notes: list[str] = []
  for path in paths:
    if path.is_dir():
      found = [Member(p) for p in sorted(path.rglob('*')) if p.is_file() and not p.name.startswith('.')]
      usable = [m for m in found if split_of(m.name) or '.jsonl' in m.name]
      zips = [m.path for m in found if m.path.suffix == '.zip' and 'quality' in m.name.lower()]
      for archive in [] if usable else zips:  # as it was downloaded
        usable += _zip_members(archive)
      files += _best(path, usable, notes)
    elif path.suffix == '.zip':
      files += _best(path, _zip_members(path), notes)
    elif split_of(path.name) == 'test':
      raise UserError(f'{path}: is the test split, which has no labels; give the train and dev files')
    else:
      files.append(Member(path))
  return Chosen(files, list(dict.fromkeys(m.path for m in files)), notes)


def _zip_members(path: pathlib.Path) -> list[Member]:
  try:
    with zipfile.ZipFile(path) as z:
      return [Member(path, n) for n in sorted(z.namelist()) if split_of(n) and not n.startswith('__MACOSX')]
  except (zipfile.BadZipFile, OSError) as e:
    raise UserError(f'{path}: cannot be read as a zip ({e}); was the download complete?') from None


def _best(path: pathlib.Path, found: list[Member], notes: list[str]) -> list[Member]:
  by_split: dict[str, Member] = {}
  others = [m for m in found if split_of(m.name) is None]
  for member in found:
    split = split_of(member.name)
    if split is not None and (split not in by_split or 'htmlstripped' in member.name):
      by_split[split] = member
  if by_split.pop('test', None) is not None:
    if not by_split and not others:
      raise UserError(f'{path}: holds only the test split, which has no labels; give the train and dev files')
    notes.append(f'{path}: the test split has no labels and is left out')
  chosen = list(by_split.values()) or others
  if not chosen:
    raise UserError(f'{path}: holds no QuALITY file, expected QuALITY.v1.0.1.htmlstripped.train and .dev or *.jsonl')
  return chosen


def rows(files: list[Member]) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields ("file:line", record) of every file.

  Raises:
    UserError: a malformed line, an empty file, a damaged zip, a file whose questions all lack labels.
  """
  for member in files:
    count, questions, labelled = 0, 0, 0
    for number, row in _read(member):
      count += 1
      listed = row['questions'] if isinstance(row.get('questions'), list) else []
      questions += len(listed)
      labelled += sum(isinstance(q, dict) and q.get('gold_label') is not None for q in listed)
      yield f'{member}:{number}', row
    if count == 0:
      raise UserError(f'{member}: is empty, expected QuALITY records, one a line')
    if questions and not labelled:
      raise UserError(f'{member}: none of its {questions} questions has a gold_label: this is the unlabelled test '
                      'split, give the train and dev files')


def _read(member: Member) -> Iterator[tuple[int, dict[str, Any]]]:
  if not member.inside:
    yield from read_jsonl(member.path)
    return
  try:
    with zipfile.ZipFile(member.path) as z, z.open(member.inside) as raw:
      yield from parse_jsonl(io.TextIOWrapper(raw, encoding='utf-8', errors=INVALID_BYTES), str(member))
  except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as e:
    raise UserError(f'{member}: damaged inside the zip ({e}); was the download complete?') from None


def compare_counts(files: list[Member], n_documents: int, n_questions: int) -> list[str]:
  """A note if the counts are not those of the published files (all of train and dev where names do not tell)."""
  splits = {s for m in files if (s := split_of(m.name))} or {'train', 'dev'}
  articles, questions = PUBLISHED[tuple(sorted(splits))]
  if (n_documents, n_questions) == (articles, questions):
    return [f'counts match the published ones: {articles:,} articles, {questions:,} questions']
  return [f'counts differ from the published ones: found {n_documents:,} articles and {n_questions:,} questions, '
          f'QuALITY v1.0.1 {" + ".join(sorted(splits, reverse=True))} has {articles:,} and {questions:,}']
