"""Training records of the miniature world's base model: language, answering, reading. Background documents only.

The base must do what a downloaded model does before it meets the study documents: write the world's language, answer
multiple choice with reasoning, recall what it was trained on, and read. Its records are

  * `document`: the known documents as text (they repeat in training);
  * `qa`, closed book: open-ended QAs and multiple-choice examples on the known documents, drawn anew for every copy;
    some show retrieved chunks, which hold the answer, a part of it or none;
  * `qa`, reading: drills on facts and on letters, and multiple-choice examples with their context, each on fresh
    documents that never come again. Reading examples from known documents would teach to answer from memory instead.

Multiple-choice prompts come from the evaluation's own renderer, in its modes and scorings, so that the base knows the
form and the arms differ in knowledge alone.
"""

import dataclasses
import multiprocessing
import random
from collections.abc import Iterator
from typing import Any

from data_gen.schema import Question, Record, to_row
from data_gen.world import WorldDocument, WorldSpec, make_document
from data_gen.world.background import document_record, qa_records
from launch.base_drills import drills
from launch.base_letters import letter_drill, lettered, read_out
from smt_jax.eval import prompts
from smt_jax.eval.retrieval.bm25 import Bm25Retriever
from smt_jax.eval.retrieval.chunking import Chunk, chunk_documents

_KNOWN_GROUP = 6  # known documents whose chunks are retrieved together: as many as the quickstart studies
_GROUP = 24  # fresh documents that are read together: retrieval has distractors, as in the evaluation


@dataclasses.dataclass(frozen=True)
class BaseSpec:
  """What the base is trained on.

  Attributes:
    seed: of the background worlds.
    known: documents that repeat in training.
    copies: how often each known document's QAs and multiple-choice examples are drawn anew.
    fresh: documents for reading examples.
    first_fresh: number of the first of them, so that a second stage of training meets new ones.
    excerpts: drills on excerpts of one fresh document.
    whole: one drill on the whole document beside those on excerpts.
    letters: drills on the letters of options, by fresh document.
    turns: questions asked about one fresh document that is read whole; 0 for none.
    evidence: reading examples with the gold evidence alone, by fresh document.
    retrieved: reading examples with retrieved chunks, by fresh document.
    recalled: the same on known documents, by document and copy, whatever the chunks hold: the rest is recalled.
    chunk_size, top_k: retrieval as in the evaluation (characters; chunks).
    row: characters of a drill at most, so that it fits a row of tokens.
    world: facts, values, forms, ... of the documents; its set and number are ignored.
  """
  seed: int = 0
  known: int = 400
  copies: int = 40
  fresh: int = 20000
  first_fresh: int = 0
  excerpts: int = 3
  whole: bool = True
  letters: int = 2
  turns: int = 2
  evidence: int = 6
  retrieved: int = 1
  recalled: int = 0
  chunk_size: int = 400
  top_k: int = 4
  row: int = 3500
  world: WorldSpec = dataclasses.field(default_factory=WorldSpec)

  def known_world(self) -> WorldSpec:
    return dataclasses.replace(self.world, set='background', seed=2 * self.seed, documents=self.known)

  def fresh_world(self) -> WorldSpec:
    return dataclasses.replace(self.world, set='background', seed=2 * self.seed + 1,
                               documents=self.first_fresh + self.fresh)


def known_records(spec: BaseSpec, start: int, stop: int) -> Iterator[Record]:
  """Documents `start` to before `stop` as text, with `copies` drawings of their closed-book examples."""
  world = spec.known_world()
  documents = [make_document(world, number) for number in range(start, stop)]
  chunks = chunk_documents([d.document for d in documents], spec.chunk_size)
  retriever = Bm25Retriever(chunks)
  for document, number in zip(documents, range(start, stop)):
    yield document_record(document)
    for copy in range(spec.copies):
      rng = random.Random(f'{spec.seed}/known/{number}/{copy}')
      for record in qa_records(document, rng):
        yield dataclasses.replace(record, id=f'{record.id}.{copy}')
      for question in document.ask(8, rng):
        yield _example(document, question, None, _scoring(rng), f'mc.{copy}', rng)
      for question, shown in _found(document, document.ask(spec.recalled, rng), chunks, retriever, spec):
        yield _example(document, question, [c.text for c in shown], _scoring(rng), f'recalled.{copy}', rng)


def reading_records(spec: BaseSpec, start: int, stop: int) -> Iterator[Record]:
  """Reading examples on fresh documents `start` to before `stop`: whole, retrieved in chunks, or the evidence alone."""
  world = spec.fresh_world()
  for numbers in _batched(range(start, stop), _GROUP):
    documents = [make_document(world, number) for number in numbers]
    chunks = chunk_documents([d.document for d in documents], spec.chunk_size)
    retriever = Bm25Retriever(chunks)
    for document, number in zip(documents, numbers):
      rng = random.Random(f'{spec.seed}/fresh/{number}')
      questions = document.ask(spec.turns + spec.evidence + 2 * spec.retrieved, rng)
      if spec.excerpts:
        yield from drills(document, spec.excerpts, spec.row, rng, spec.whole)
      for k in range(spec.letters):
        listed = document.ask(rng.choice((1, 2, 3)), rng)
        yield letter_drill(document, listed, f'letters{k}', rng)
      if spec.turns:
        yield _whole(document, questions[:spec.turns], rng)
      for question in questions[spec.turns:spec.turns + spec.evidence]:
        context = prompts.oracle_context(question, [document.document])
        yield _example(document, question, context, _scoring(rng), 'oracle', rng)
      yield from _retrieved(document, questions[spec.turns + spec.evidence:], chunks, retriever, spec, rng)


def _batched(numbers: range, size: int) -> Iterator[range]:
  for start in range(numbers.start, numbers.stop, size):
    yield range(start, min(start + size, numbers.stop))


def _scoring(rng: random.Random) -> prompts.Scoring:
  return rng.choices(prompts.SCORINGS, (0.8, 0.1, 0.1))[0]


def _example(document: WorldDocument, question: Question, context: list[str] | None, scoring: prompts.Scoring,
             name: str, rng: random.Random) -> Record:
  """One multiple-choice example under the evaluation's prompt, options in an order drawn anew."""
  assert question.options is not None
  question = prompts.permuted(question, rng.sample(range(len(question.options)), len(question.options)))
  messages = prompts.render(question, [document.document], context, scoring)
  messages.append({'role': 'assistant', 'content': _reply(question, scoring)})
  return _record(document, f'{question.id}.{name}', name.split('.')[0], messages)


def _reply(question: Question, scoring: prompts.Scoring) -> str:
  """The reply to learn; reasoning reads the options out, restates the facts and ends in the answer with its letter."""
  assert question.options is not None
  if scoring != 'cot':
    return prompts.reply(question, scoring)
  reasoning = question.metadata['reasoning'].removesuffix('.')
  answer = int(question.answer)
  assert reasoning.endswith(question.options[answer])
  reasoning = reasoning.removesuffix(question.options[answer]) + lettered(question.options, answer)
  return prompts.reply(question, scoring, f'{read_out(question.options)}\n{reasoning}.')


def _whole(document: WorldDocument, questions: tuple[Question, ...], rng: random.Random) -> Record:
  """A document read once and asked about several times: the first turn is the evaluation's full-document prompt."""
  messages: list[dict[str, str]] = []
  for question in questions:
    context = None if messages else prompts.full_context([document.document])
    example = _example(document, question, context, _scoring(rng), 'read', rng)
    messages += example.messages or ()
  return _record(document, f'{document.document.id}.read', 'read', messages)


def _retrieved(document: WorldDocument, questions: tuple[Question, ...], chunks: list[Chunk],
               retriever: Bm25Retriever, spec: BaseSpec, rng: random.Random) -> Iterator[Record]:
  """Up to `retrieved` examples whose retrieved chunks hold all the evidence: others would teach to make things up."""
  made = 0
  for question, shown in _found(document, questions, chunks, retriever, spec):
    own = ' '.join(' '.join(c.body.split()) for c in shown if c.document_id == document.document.id)
    if made < spec.retrieved and all(' '.join(e.split()) in own for e in question.metadata['evidence']):
      made += 1
      yield _example(document, question, [c.text for c in shown], _scoring(rng), 'rag', rng)


def _found(document: WorldDocument, questions: tuple[Question, ...], chunks: list[Chunk], retriever: Bm25Retriever,
           spec: BaseSpec) -> Iterator[tuple[Question, list[Chunk]]]:
  """Each question with the chunks that the evaluation's retrieval shows for it, the best one last."""
  queries = [f'{document.document.title} {q.question}' for q in questions]
  for question, hits in zip(questions, retriever.search(queries, spec.top_k) if queries else ()):
    yield question, [chunks[hit.chunk] for hit in reversed(hits)]


def _record(document: WorldDocument, name: str, method: str, messages: list[dict[str, str]]) -> Record:
  return Record(id=name, kind='qa', method=f'world_{method}', document_ids=(document.document.id,),
                messages=tuple(messages))


def _rows(task: tuple[str, BaseSpec, int, int]) -> list[dict[str, Any]]:
  which, spec, start, stop = task
  make = known_records if which == 'known' else reading_records
  return [to_row(record) for record in make(spec, start, stop)]


def base_rows(spec: BaseSpec, workers: int = 1) -> Iterator[dict[str, Any]]:
  """All records as rows of records.jsonl, in an order that does not depend on `workers`."""
  tasks = [('known', spec, r.start, r.stop) for r in _batched(range(spec.known), _KNOWN_GROUP)]
  fresh = range(spec.first_fresh, spec.first_fresh + spec.fresh)
  tasks += [('fresh', spec, r.start, r.stop) for r in _batched(fresh, _GROUP)]
  if workers == 1:
    for task in tasks:
      yield from _rows(task)
    return
  with multiprocessing.get_context('spawn').Pool(workers) as pool:
    for rows in pool.imap(_rows, tasks):
      yield from rows
