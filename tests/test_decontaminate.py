"""Records against questions: what is flagged, why, and what is left alone."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from data_gen.decontaminate import QuestionIndex, decontaminate, normalise
from data_gen.errors import UserError
from data_gen.jsonl import write_jsonl
from data_gen.schema import Document, Question, Record, to_row

LONG = 'Why did the captain of the grey ship leave the harbour before the storm had passed?'
QUESTIONS = [
    Question('long', ('d',), 'd', LONG,
             ('He was afraid', 'He had been told by the old pilot that it would clear', 'C'), 1),
    Question('short', ('d',), 'd', 'Who was Vandeleur?', ('a', 'b'), 0),
    Question('middle', ('d',), 'd', 'What colour was the house?', None, 'grey'),
]


def qa(question, answer='Because it was so.', **kwargs):
  return Record('r', 'qa', 'qa', ('d',), question=question, **kwargs,
                messages=({'role': 'user', 'content': question}, {'role': 'assistant', 'content': answer}))


def text(body, kind='document'):
  return Record('r', kind, 'focal', ('d',), text=body)


@pytest.mark.parametrize(('record', 'question', 'rule', 'against'), [
    (qa(LONG), 'long', '8-gram', 'question'),
    (qa(f'In the context of "The Ship": {LONG.upper()}'), 'long', '8-gram', 'question'),
    (text(f'He asked: “{LONG.replace("grey ship", "grey—ship")}” and went.'), 'long', '8-gram', 'question'),
    (qa('What?', 'One wonders why the captain of the grey ship leave the harbour.'), 'long', '8-gram', 'question'),
    (text('He had been told by the old pilot that it was late.'), 'long', '8-gram', 'question+options'),
    (qa('What colour was the house'), 'middle', '5-grams', 'question'),
    (text('They asked what colour was the house.'), 'middle', '5-grams', 'question'),
    (qa('Who was Vandeleur'), 'short', 'same question', 'question'),
    (qa('Why did the captain of the grey coat see ship leave the harbour before the storm?'), 'long', '5-grams',
     'question'),
])
def test_shared_wording_is_flagged_with_its_words(record, question, rule, against):
  found = [m for m in QuestionIndex(QUESTIONS).matches(record) if m.question_id == question]
  assert [(m.rule, m.against) for m in found] == [(rule, against)]
  words = ' '.join(normalise(' '.join([record.text or '', *(m['content'] for m in record.messages or ())])))
  assert all(part in words for part in found[0].matched.split(' ... ')) and 0 <= found[0].share <= 1


@pytest.mark.parametrize('record', [
    qa('Why did the captain leave?', 'The captain of the grey ship left the harbour since the pilot said so.'),
    text('Vandeleur was a captain who was known to all. Who was he? Nobody knew what the house was like.'),
    text('The house was grey in colour. The captain of the grey ship went away before the storm.'),
    text(LONG[:60], kind='replay'),
])
def test_shared_facts_alone_are_not(record):
  assert QuestionIndex(QUESTIONS).matches(record) == []


def test_replay_needs_thirteen_words():
  assert [m.rule for m in QuestionIndex(QUESTIONS).matches(text(f'So: {LONG}', kind='replay'))] == ['13-gram']


def write(folder, records, name='records.qa.jsonl'):
  write_jsonl(folder / name, (to_row(r) for r in records))
  write_jsonl(folder / 'questions.jsonl', (to_row(q) for q in QUESTIONS))


def numbered(records):
  import dataclasses
  return [dataclasses.replace(r, id=f'r{i}') for i, r in enumerate(records)]


def test_report_flags_and_cleaned_copy(tmp_path):
  data, out = tmp_path / 'data', tmp_path / 'out'
  write(data, numbered([qa(LONG), qa('Where is it?'), text('A plain text about a town.'), qa('Who was Vandeleur?')]))
  before = (data / 'records.qa.jsonl').read_bytes()
  report = decontaminate(str(data / 'records*.jsonl'), data / 'questions.jsonl', out)
  flagged = [json.loads(line) for line in (out / 'flagged.jsonl').read_text().splitlines()]
  assert [f['id'] for f in flagged] == ['r0', 'r3'] and 'captain' in flagged[0]['matches'][0]['matched']
  assert (report['records'], report['flagged'], report['hit_rate'], report['questions_hit']) == (4, 2, 0.5, 2)
  assert report['question_ids_hit'] == ['long', 'short'] and report['by_method']['focal']['flagged'] == 0
  assert not (out / 'records.qa.jsonl').exists() and (data / 'records.qa.jsonl').read_bytes() == before
  decontaminate(str(data / 'records*.jsonl'), data / 'questions.jsonl', out, remove=True)
  kept = (out / 'records.qa.jsonl').read_bytes().splitlines()
  assert kept == [line for i, line in enumerate(before.splitlines()) if i in (1, 2)]
  assert decontaminate(str(out / 'records*.jsonl'), data / 'questions.jsonl', tmp_path / 'again')['flagged'] == 0


TITLED = 'What does the narrator of The Great Salt Road to the Cold Sea fear most?'


def test_a_quoted_title_is_told_apart_from_a_quoted_question():
  question = Question('t', ('d',), 'd', TITLED, ('thirst', 'wolves'), 0)
  document = Document('d', 'The Great Salt Road to the Cold Sea', 'It is told that the salt was worth gold then.')
  named = text('From "The Great Salt Road to the Cold Sea": a man walks.')
  copied = text(f'Asked: {TITLED}')
  assert [m.against for m in QuestionIndex([question]).matches(named)] == ['question']
  index = QuestionIndex([question], {'d': document})
  assert [m.against for m in index.matches(named)] == ['document']
  assert [(m.rule, m.against) for m in index.matches(copied)] in ([('8-gram', 'question')], [('5-grams', 'question')])
  own = text('What does the narrator of it fear most? A man who has walked the road for long fears thirst.')
  assert index.matches(own) == []
  other = {'e': document}  # another document's title is the question's own wording
  assert [m.against for m in QuestionIndex([question], other).matches(named)] == ['question']


def test_a_question_that_quotes_its_document_and_a_record_that_does():
  quote = 'the rise and fall of the house of Vandeleur in seven parts'
  question = Question('q', ('d',), 'd', f'Does the critic praise "{quote}" in the end?', ('yes', 'no'), 0)
  document = Document('d', 'Films', f'He saw {quote}, and then he went home.')
  index = QuestionIndex([question], {'d': document})
  assert [m.against for m in index.matches(text(f'A man saw {quote} once.'))] == ['document']
  assert [m.against for m in index.matches(qa(question.question))] == ['question']
  assert [m.against for m in QuestionIndex([question]).matches(text(f'A man saw {quote} once.'))] == ['question']


def test_quotes_are_reported_apart_and_never_removed(tmp_path):
  question = Question('t', ('d',), 'd', TITLED, ('thirst', 'wolves'), 0)
  records = numbered([text('From "The Great Salt Road to the Cold Sea": a man walks.'), qa(TITLED),
                      text('A plain town.')])
  write_jsonl(tmp_path / 'records.qa.jsonl', map(to_row, records))
  write_jsonl(tmp_path / 'questions.jsonl', [to_row(question)])
  without = decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'a')
  assert (without['flagged'], without['quotes_only'], without['documents_file']) == (2, 0, None)
  document = Document('d', 'The Great Salt Road to the Cold Sea (d)', 'x', metadata={
    'published_title': 'The Great Salt Road to the Cold Sea'})
  write_jsonl(tmp_path / 'documents.jsonl', [to_row(document)])
  report = decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'b', remove=True)
  assert (report['flagged'], report['quotes_only'], report['removed']) == (1, 1, 1)
  held = [json.loads(line) for line in (tmp_path / 'b' / 'quotes.jsonl').read_text().splitlines()]
  assert [row['id'] for row in held] == ['r0'] and held[0]['matches'][0]['against'] == 'document'
  assert [json.loads(line)['id'] for line in (tmp_path / 'b' / 'records.qa.jsonl').open()] == ['r0', 'r2']


def bag(texts):
  """An embedder: counts of a few stems, so that texts on one matter point one way."""
  stems = ('captain', 'master', 'leav', 'left', 'sail', 'harbour', 'port', 'storm', 'gale', 'house', 'colour', 'vandel')
  synonyms = {'master': 'captain', 'left': 'leav', 'sail': 'leav', 'port': 'harbour', 'gale': 'storm'}
  rows = np.zeros((len(texts), len(stems) + 1))
  for i, one in enumerate(texts):
    for stem in stems:
      rows[i, stems.index(synonyms.get(stem, stem))] += one.lower().count(stem)
    rows[i, -1] = 0.1
  return rows


def test_an_embedder_finds_paraphrases(tmp_path):
  paraphrase = qa('For what reason did the master sail from port ahead of the gale?')
  assert QuestionIndex(QUESTIONS).matches(paraphrase) == []
  write(tmp_path, numbered([paraphrase, text('The master left. What colour is a captain? Nobody knows.'),
                            text('The captain left the harbour before the storm.'), qa(LONG)]))
  report = decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'o', embed=bag)
  rows = [json.loads(line) for line in (tmp_path / 'o' / 'flagged.jsonl').read_text().splitlines()]
  assert {row['id']: row['matches'][0]['rule'] for row in rows} == {'r0': 'embedding', 'r3': '8-gram'}
  found = rows[0]['matches'][0]
  assert found['question_id'] == 'long' and found['share'] >= 0.9 and found['matched'].startswith('For what reason')
  assert report['by_rule'] == {'embedding': 1, '8-gram': 1} and report['rules']['similarity'] == 0.9
  assert decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'p')['flagged'] == 1
  with pytest.raises(UserError, match=r'--similarity=1\.5'):
    decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'q', embed=bag, similarity=1.5)
  with pytest.raises(UserError, match='--embedder'):
    decontaminate(f'{tmp_path}/records*', tmp_path / 'questions.jsonl', tmp_path / 'q',
                  embed=lambda texts: np.full((len(texts), 2), np.nan))


def test_bad_input(tmp_path):
  write(tmp_path, numbered([qa('Where is it?')]))
  questions = tmp_path / 'questions.jsonl'
  with pytest.raises(UserError, match='matches no file'):
    decontaminate(str(tmp_path / 'nothing*.jsonl'), questions, tmp_path / 'out')
  with pytest.raises(UserError, match='no such file'):
    decontaminate(str(tmp_path / 'records*.jsonl'), tmp_path / 'none.jsonl', tmp_path / 'out')
  with pytest.raises(UserError, match='cleaned copies need another folder'):
    decontaminate(str(tmp_path / 'records*.jsonl'), questions, tmp_path, remove=True)
  (tmp_path / 'records.bad.jsonl').write_text('{"id": "a", "kind": "qa"\n')
  with pytest.raises(UserError, match=r'records\.bad\.jsonl:1: not valid JSON'):
    decontaminate(str(tmp_path / 'records*.jsonl'), questions, tmp_path / 'out')
  assert not (tmp_path / 'out' / 'flagged.jsonl').exists()


def test_no_generating_code_can_open_questions():
  """What writes data must not even be able to see an evaluation question."""
  import pathlib

  import data_gen
  root = pathlib.Path(data_gen.__file__).parent
  allowed = {'decontaminate.py', 'decontaminate_index.py', 'decontaminate_similar.py', 'prepare.py', 'schema.py'}
  for path in [*root.glob('*.py'), *root.glob('methods/*.py'), *root.glob('generators/**/*.py'),
               *root.glob('offline/*.py')]:
    if path.name in allowed or path.name.startswith('quiz'):
      continue
    source = path.read_text()
    assert not re.search(r'\bQuestion\b.*\bimport\b|import .*\bQuestion\b|questions\.jsonl|decontaminate', source), path


def test_the_program(tmp_path):
  write(tmp_path, numbered([qa(LONG), qa('Where is it?')]))
  command = [sys.executable, '-m', 'launch.decontaminate', f'--records={tmp_path}/records*.jsonl',
             f'--out={tmp_path}/o']
  done = subprocess.run([*command, f'--questions={tmp_path}/questions.jsonl'], capture_output=True, text=True)
  assert done.returncode == 0 and '1 of 2 records flagged' in done.stdout
  failed = subprocess.run([*command, '--questions=/nowhere.jsonl'], capture_output=True, text=True)
  assert failed.returncode == 1 and failed.stderr == 'error: /nowhere.jsonl: no such file\n'


@pytest.mark.slow
def test_an_embedding_checkpoint_finds_the_question_inside_a_text(tmp_path):
  """With our own model code: the same sentence has cosine 1, others less."""
  from eval_checkpoint import make_checkpoint

  from smt_jax.eval.retrieval.qwen import QwenEmbedder
  write(tmp_path, numbered([text('He came late. Who was Vandeleur?'), text('The mill stood by the river. Why?')]))
  embed = QwenEmbedder.load(make_checkpoint(tmp_path)).queries
  assert QuestionIndex(QUESTIONS).matches(text('He came late. Who was Vandeleur?')) == []
  decontaminate(f'{tmp_path}/records*.jsonl', tmp_path / 'questions.jsonl', tmp_path / 'o', embed=embed,
                similarity=0.9999)
  rows = [json.loads(line) for line in (tmp_path / 'o' / 'flagged.jsonl').read_text().splitlines()]
  assert [(row['id'], row['matches'][0]['rule'], row['matches'][0]['question_id']) for row in rows] == [
    ('r0', 'embedding', 'short')]
