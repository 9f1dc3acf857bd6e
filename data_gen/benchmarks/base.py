"""What every benchmark reader returns, and the few things that all of them need.

A benchmark is one module of this package with a function `read(source, options) -> Prepared`, where `source` is the
text of `--source` and `options` a dict with exactly the keys of the module's `OPTIONS` (name -> default value). A
module may say what an evaluation should find: `N_OPTIONS`, the options of each question, None where all are open.
"""

import collections
import dataclasses
import glob
import hashlib
import pathlib
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import PathLike
from data_gen.schema import Document, Question, Skipped


@dataclasses.dataclass
class Prepared:
  """A benchmark in the project's terms.

  Attributes:
    documents: what generators may see.
    questions: what they may not.
    skipped: every article or question that could not be used; `place` begins with "document" or "question" for these.
    notes: sentences for the user: counts that differ from the published ones, titles made distinguishable, ...
    sources: the files that were read, for their checksums.
  """
  documents: list[Document] = dataclasses.field(default_factory=list)
  questions: list[Question] = dataclasses.field(default_factory=list)
  skipped: list[Skipped] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  sources: list[pathlib.Path] = dataclasses.field(default_factory=list)

  def skip_document(self, file: PathLike, name: str, reason: str) -> None:
    self.skipped.append(Skipped(str(file), f'document {name}'.rstrip(), reason))

  def skip_question(self, file: PathLike, name: str, reason: str) -> None:
    self.skipped.append(Skipped(str(file), f'question {name}'.rstrip(), reason))


def expand(source: PathLike) -> list[pathlib.Path]:
  """The files and folders that `--source` names: one path, several with commas between them, or a glob.

  Raises:
    UserError: a path that does not exist, a glob that matches nothing.
  """
  found: list[pathlib.Path] = []
  whole = pathlib.Path(source)
  parts = [str(source)] if whole.exists() else [p.strip() for p in str(source).split(',') if p.strip()]
  if not parts:
    raise UserError('--source: expected a file or folder')
  for part in parts:
    if pathlib.Path(part).exists():
      found.append(pathlib.Path(part))
    elif matches := sorted(glob.glob(part, recursive=True)):
      found.extend(pathlib.Path(m) for m in matches)
    else:
      raise UserError(f'--source={part}: no such file or folder')
  return list(dict.fromkeys(found))


def checksum(path: pathlib.Path) -> str:
  """SHA-256 of a file, hex."""
  with open(path, 'rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()


def text_key(text: str) -> str:
  """A key that equal texts share whatever their spacing."""
  return hashlib.sha256(' '.join(text.split()).encode()).hexdigest()[:16]


def distinguish_titles(documents: list[Document], notes: list[str]) -> list[Document]:
  """Gives different documents of one title titles that tell them apart: by author and date, else by id.

  A title is all that a closed-book question names, so it has to point at one document. The published title stays in
  `metadata.published_title`; what was renamed is said in `notes`.
  """
  groups: dict[str, list[Document]] = collections.defaultdict(list)
  for document in documents:
    groups[document.title].append(document)
  renamed: dict[str, Document] = {}
  for title, group in groups.items():
    if len(group) == 1:
      continue
    additions = [', '.join(filter(None, (d.author, d.date))) for d in group]
    if not all(additions) or len(set(additions)) < len(group):
      additions = [d.id for d in group]
    for document, addition in zip(group, additions, strict=True):
      renamed[document.id] = dataclasses.replace(
        document, title=f'{title} ({addition})', metadata=document.metadata | {'published_title': title})
    notes.append(f'{len(group)} different documents are titled "{title}"; they are now told apart as '
                 + ', '.join(f'"{renamed[d.id].title}"' for d in group))
  return [renamed.get(d.id, d) for d in documents]


def resolve_options(name: str, accepted: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
  """The benchmark's options with the user's values in place of the defaults, each of the default's type.

  Raises:
    UserError: an option that the benchmark does not have or a value of the wrong type.
  """
  options = dict(accepted)
  for key, value in given.items():
    if key not in accepted:
      known = ', '.join(sorted(accepted)) or 'none'
      raise UserError(f'--options={key}: {name} has no such option; it has: {known}')
    options[key] = _parse(f'--options={key}={value}', value, accepted[key])
  return options


def _parse(where: str, value: str, default: Any) -> Any:
  if isinstance(default, bool):
    if value.lower() not in ('true', 'false'):
      raise UserError(f'{where}: expected true or false')
    return value.lower() == 'true'
  if isinstance(default, int | float):
    try:
      return type(default)(value)
    except ValueError:
      raise UserError(f'{where}: expected a number') from None
  return value
