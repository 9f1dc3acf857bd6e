"""Retrieval recall: how much of the known evidence, and how often the right document, the shown chunks hold."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from data_gen.schema import Document, Question
from smt_jax.eval.retrieval.chunking import Chunk


@dataclasses.dataclass(frozen=True)
class Recall:
  """Means over questions.

  Attributes:
    document: share of questions with a chunk of one of their documents, or of a record written from one, among those
      shown.
    evidence: mean share of a question's evidence that is shown; None where no question has evidence.
    n_questions, n_with_evidence: how many questions each mean is over.
  """
  document: float
  evidence: float | None
  n_questions: int
  n_with_evidence: int


def recall(questions: Sequence[Question], shown: Sequence[Sequence[Chunk]],
           documents: Mapping[str, Document]) -> Recall:
  """Recall of the chunks shown for each question.

  Args:
    questions: those asked.
    shown: the chunks for each of them.
    documents: all documents by id.
  """
  right_document: list[bool] = []
  parts: list[float] = []
  for question, chunks in zip(questions, shown, strict=True):
    right_document.append(any(set(question.document_ids) & {c.document_id, *c.sources} for c in chunks))
    spans = evidence_spans(question, documents)
    if spans:
      parts.append(sum(_is_shown(span, chunks) for span in spans) / len(spans))
  return Recall(
    document=sum(right_document) / max(len(right_document), 1), evidence=sum(parts) / len(parts) if parts else None,
    n_questions=len(questions), n_with_evidence=len(parts))


def evidence_spans(question: Question, documents: Mapping[str, Document]) -> list[tuple[str, int, int]]:
  """(document id, start, end) of each piece of evidence that can be found in the documents.

  `metadata.evidence` holds spans, or quotations (strings, or `text` of an object) that are looked up.
  """
  spans = []
  for piece in question.metadata.get('evidence') or ():
    spans += _spans_of(piece, question, documents)
  return list(dict.fromkeys(spans))


def _spans_of(piece: Any, question: Question, documents: Mapping[str, Document]) -> list[tuple[str, int, int]]:
  if isinstance(piece, dict):
    document_id, start, end = str(piece.get('document_id')), piece.get('start'), piece.get('end')
    if document_id in documents and isinstance(start, int) and isinstance(end, int) and start < end:
      return [(document_id, start, end)]
    candidates = [document_id] if document_id in documents else list(question.document_ids)
    quoted = piece.get('text')
  else:
    candidates, quoted = list(question.document_ids), piece
  if not isinstance(quoted, str) or not quoted.strip():
    return []
  for document_id in candidates:
    if document_id in documents and (found := documents[document_id].text.find(quoted.strip())) >= 0:
      return [(document_id, found, found + len(quoted.strip()))]
  return []


def _is_shown(span: tuple[str, int, int], chunks: Sequence[Chunk]) -> bool:
  """Whether the chunks cover half of the span, or half of one chunk lies inside it (evidence larger than chunks)."""
  document_id, start, end = span
  covered = 0
  for chunk in chunks:
    if chunk.document_id == document_id:
      overlap = min(end, chunk.end) - max(start, chunk.start)
      if overlap > 0 and 2 * overlap >= chunk.end - chunk.start:
        return True
      covered += max(0, overlap)
  return 2 * covered >= end - start
