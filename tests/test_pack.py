"""Packing: every token of every record lands once, with the right label, segment and record id."""

import collections
import json
import random

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from pack_helpers import corpus, make_tokenizer, qa, replay, write_records

from data_gen.schema import Record, from_row
from smt_jax.data import plan
from smt_jax.data.folder import PackedFolder
from smt_jax.data.pack import pack
from smt_jax.data.render import Renderer
from smt_jax.data.tokenizer import load_tokenizer

T = 64


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  """A folder with a tokenizer, records and packs of them by kind and by source."""
  folder = tmp_path_factory.mktemp('pack')
  make_tokenizer(folder / 'tokenizer')
  write_records(folder / 'in/mixed.jsonl', corpus())
  write_records(folder / 'in/replay.jsonl', replay())
  for by in ('kind', 'source'):
    pack([str(folder / 'in/*.jsonl')], str(folder / 'tokenizer'), folder / by, T, by=by, held_out=0.1)
  return folder


def rows_of(folder, source, split='train') -> list[dict]:
  data = tfds.data_source(source, data_dir=folder, split=split)
  return [data[i] for i in range(len(data))]


def rendered(folder) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  records = [from_row(Record, row, '') for row in corpus() + replay()]
  out = Renderer(load_tokenizer(folder / 'tokenizer'))(records, [''] * len(records))
  return {r.id: o for r, o in zip(records, out)}


def pieces(folder) -> list[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
  """(source, record id, tokens, labels, positions) of every segment of a pack."""
  opened = PackedFolder(folder)
  found = []
  for split in ('train', 'validation'):
    for source in opened.sources(split):
      for row in rows_of(folder, source, split):
        for segment in range(1, row['segment_ids'].max() + 1):
          at = row['segment_ids'] == segment
          (record,) = set(row['record_ids'][at].tolist())
          found.append((source, opened.record_id(record), row['tokens'][at], row['labels'][at], row['positions'][at]))
  return found


@pytest.mark.parametrize('by', ['kind', 'source'])
def test_nothing_is_lost_and_nothing_doubled(place, by):
  """Laid end to end, a record's pieces are its rendered tokens; each but the first is predicted once, if at all."""
  expected = rendered(place)
  by_record = collections.defaultdict(list)
  for _, record, tokens, labels, positions in pieces(place / by):
    by_record[record].append((tokens, labels))
    np.testing.assert_array_equal(positions, np.arange(len(tokens)))
  assert set(by_record) == set(expected)
  assert max(len(p) for p in by_record.values()) > 3  # some records are longer than several rows
  for record, (ids, mask) in expected.items():
    want = np.append(np.where(mask, ids, -100)[1:], -100)
    at = 0
    while by_record[record]:  # the last piece of a QA may lie in an earlier row than its others
      piece = next(p for p in by_record[record] if np.array_equal(p[0], ids[at:at + len(p[0])])
                   and np.array_equal(p[1], want[at:at + len(p[0])]))
      by_record[record] = [p for p in by_record[record] if p is not piece]
      at += len(piece[0])
    assert at == len(ids)


@pytest.mark.parametrize('by', ['kind', 'source'])
def test_padding_is_inert_and_last(place, by):
  for source in PackedFolder(place / by).sources():
    for row in rows_of(place / by, source):
      n = row['n_tokens']
      assert (row['segment_ids'][:n] > 0).all() and (np.diff(row['segment_ids'][:n]) >= 0).all()
      assert (row['segment_ids'][n:] == 0).all() and (row['labels'][n:] == -100).all()
      assert (row['record_ids'][n:] == -1).all() and (row['tokens'][n:] == PackedFolder(place / by).pad_id).all()
      assert all(row[name].dtype == np.int32 and row[name].shape == (T,) for name in (
          'tokens', 'labels', 'segment_ids', 'positions', 'record_ids'))


def test_no_segment_predicts_its_neighbour(place):
  """A label is the next token of the same record: inside a row, of the same segment."""
  for row in rows_of(place / 'kind', 'document') + rows_of(place / 'kind', 'qa'):
    inside = np.flatnonzero(row['labels'][:-1] != -100)
    same = row['segment_ids'][inside] == row['segment_ids'][inside + 1]
    assert same.all()
    np.testing.assert_array_equal(row['labels'][inside], row['tokens'][inside + 1])


def test_qas_stay_whole_unless_longer_than_a_row(place):
  lengths = {record: len(ids) for record, (ids, _) in rendered(place).items()}
  for source, record, tokens, *_ in pieces(place / 'kind'):
    assert source != 'qa' or len(tokens) == lengths[record] or lengths[record] > T


def test_conversations_in_replay_stay_whole_too(place):
  rng = random.Random(3)
  talks = [qa(i, rng, size=rng.randint(2, 6)) | {'id': f'talk-{i}', 'kind': 'replay'} for i in range(40)]
  inputs = [write_records(place / 'in_talks/records.jsonl', talks + replay())]
  source = pack(inputs, str(place / 'tokenizer'), place / 'talks', T)['sources']['replay/train']
  found = collections.Counter(record for _, record, *_ in pieces(place / 'talks'))
  assert all(found[f'talk-{i}'] == 1 for i in range(40))
  assert source['records'] == 70 and source['split_records'] > 0
  tokens = PackedFolder(place / 'talks').tokens('replay')
  assert source['tokens'] == tokens.sum() and sum(tokens == T) > 10  # texts fill their rows as before


def test_documents_fill_their_rows(place):
  for source in ('document', 'replay'):
    tokens = PackedFolder(place / 'kind').tokens(source)
    assert (tokens[:-1] == T).all() and 0 < tokens[-1] <= T


def test_rows_by_source_hold_one_document_each_with_its_qas_first(place):
  opened = PackedFolder(place / 'source')
  document = dict(zip(opened.records['id'].to_pylist(), opened.records['document_ids'].to_pylist()))
  kind = dict(zip(opened.records['id'].to_pylist(), opened.records['kind'].to_pylist()))
  assert opened.sources() == ['replay', 'mixed']
  both = 0
  for row in rows_of(place / 'source', 'mixed'):
    at = np.sort(np.unique(row['segment_ids'][row['segment_ids'] > 0], return_index=True)[1])
    ids = [opened.record_id(i) for i in row['record_ids'][at]]
    assert len({tuple(document[i]) for i in ids}) == 1
    kinds = [kind[i] for i in ids]
    assert kinds == sorted(kinds, reverse=True)  # 'qa' before 'document'
    both += len(set(kinds)) == 2
  # There are fewer QAs than rows here; dealt out evenly, nearly each has a row, with a document, of its own.
  assert both > 0.9 * (120 - 12)


@pytest.mark.parametrize('by', ['kind', 'source'])
def test_held_out_records_are_in_no_training_row(place, by):
  opened = PackedFolder(place / by)
  assert opened.sources('validation') == ['qa', 'document', 'replay']
  records = {split: {int(r) for s in opened.sources(split) for r in opened.segments(s, split)[:, 1]}
             for split in ('train', 'validation')}
  assert not records['train'] & records['validation']
  assert len(records['train'] | records['validation']) == opened.n_records
  held_out = collections.Counter(opened.record_id(i).split('-')[0] for i in records['validation'])
  assert held_out == {'qa': 12, 'document': 4, 'replay': 3}
  assert {opened.records['split'][i].as_py() for i in records['validation']} == {'validation'}


def test_index_and_summary_are_those_of_the_rows(place):
  summary = json.loads((place / 'kind/pack.json').read_text())
  opened = PackedFolder(place / 'kind')
  for name, source in summary['sources'].items():
    kind, split = name.split('/')
    rows = rows_of(place / 'kind', kind, split)
    tokens = [row['n_tokens'] for row in rows]
    assert opened.tokens(kind, split).tolist() == tokens
    assert source['rows'] == len(rows) and source['tokens'] == sum(tokens)
    assert source['labels'] == sum(int((row['labels'] != -100).sum()) for row in rows)
    for number, row in enumerate(rows):
      segments = opened.segments(kind, split)
      segments = segments[segments[:, 0] == number]
      assert [(r, n) for _, r, n in segments.tolist()] == [
          (int(row['record_ids'][row['segment_ids'] == s][0]), int((row['segment_ids'] == s).sum()))
          for s in range(1, row['segment_ids'].max() + 1)]


def test_several_workers_write_the_same_rows(place):
  inputs = [str(place / 'in/*.jsonl')]
  pack(inputs, str(place / 'tokenizer'), place / 'workers', T, held_out=0.1, workers=2)
  for source in ('qa', 'document', 'replay'):
    for one, two in zip(rows_of(place / 'kind', source), rows_of(place / 'workers', source), strict=True):
      assert all(np.array_equal(one[name], two[name]) for name in one)


def test_loss_on_prompt_adds_the_prompts_labels(place):
  inputs = [str(place / 'in/mixed.jsonl')]
  answers = pack(inputs, str(place / 'tokenizer'), place / 'answers', T)['sources']['qa/train']
  summary = pack(inputs, str(place / 'tokenizer'), place / 'everything', T, loss_on_prompt=True)
  everything = summary['sources']['qa/train']
  assert everything['tokens'] == answers['tokens']
  assert everything['labels'] == everything['tokens'] - everything['records'] > answers['labels']


def test_real_articles_come_back_word_for_word(place, tmp_path, test_data):
  """Articles of up to 34,000 characters, cut over many rows, decode to what they were."""
  with open(test_data / 'quality/articles_45.v1.0.1-like.jsonl') as f:
    articles = {f'a{i}': json.loads(line)['article'] for i, line in enumerate(f)}
  write_records(tmp_path / 'records.jsonl', [
      {'id': i, 'kind': 'document', 'method': 'source', 'document_ids': [i], 'text': t} for i, t in articles.items()])
  pack([str(tmp_path / 'records.jsonl')], str(place / 'tokenizer'), tmp_path / 'out', 256, workers=1)
  tokenizer = load_tokenizer(place / 'tokenizer')
  tokens = collections.defaultdict(list)
  for _, record, piece, *_ in pieces(tmp_path / 'out'):
    tokens[record] += piece.tolist()
  assert {i: tokenizer.decode(t[1:-1]) for i, t in tokens.items()} == articles


lengths_and_rows = st.tuples(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(2, 20))


def check_plan(segments: np.ndarray, lengths: np.ndarray, row_length: int) -> None:
  used = np.bincount(segments[:, 0], weights=segments[:, 3])
  assert (used > 0).all() and (used <= row_length).all()
  assert (np.diff(segments[:, 0]) >= 0).all()
  for record, length in enumerate(lengths):
    own = segments[segments[:, 1] == record]
    covered = np.concatenate([np.arange(start, start + size) for _, _, start, size in own])
    covered.sort()
    np.testing.assert_array_equal(covered, np.arange(length))


@settings(deadline=None, max_examples=60)
@given(lengths_and_rows)
def test_concatenated_records_are_cut_only_at_row_ends(case):
  lengths, row_length = np.array(case[0]), case[1]
  segments = plan.concat_then_split(lengths, np.random.default_rng(0).permutation(len(lengths)), row_length)
  check_plan(segments, lengths, row_length)
  assert segments[-1, 0] + 1 == -(-lengths.sum() // row_length)


@settings(deadline=None, max_examples=60)
@given(lengths_and_rows, st.integers(1, 5))
def test_first_fit_cuts_only_what_no_row_can_hold(case, window):
  lengths, row_length = np.array(case[0]), case[1]
  segments = plan.first_fit(lengths, np.arange(len(lengths)), row_length, window)
  check_plan(segments, lengths, row_length)
  cut = np.bincount(segments[:, 1]) > 1
  np.testing.assert_array_equal(cut, lengths > row_length)


@settings(deadline=None, max_examples=60)
@given(lengths_and_rows, st.randoms(use_true_random=False))
def test_groups_never_share_a_row(case, rng):
  lengths, row_length = np.array(case[0]), case[1]
  splittable = np.array([rng.random() < 0.5 for _ in lengths])
  groups = np.array([rng.randrange(3) for _ in lengths])
  segments = plan.by_group(lengths, splittable, groups, np.arange(len(lengths)), row_length)
  check_plan(segments, lengths, row_length)
  for row in range(segments[-1, 0] + 1):
    assert len({groups[r] for r in segments[segments[:, 0] == row, 1]}) == 1
  whole = ~splittable[segments[:, 1]]
  assert (segments[whole, 3] == np.minimum(lengths[segments[whole, 1]], segments[whole, 3])).all()
  assert not ((np.bincount(segments[:, 1]) > 1) & ~splittable & (lengths <= row_length)).any()
