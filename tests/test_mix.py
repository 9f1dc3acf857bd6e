"""Batches of a run: mix, hosts, restoring, held-out rows, report, complaints."""

import collections
import dataclasses
import shutil

import grain
import numpy as np
import pytest
from pack_helpers import corpus, make_tokenizer, replay, write_records

from data_gen.errors import UserError
from smt_jax.config import DataConfig
from smt_jax.data.benchmark import measure_input
from smt_jax.data.folder import PackedFolder
from smt_jax.data.layout import SOURCES, index_name
from smt_jax.data.mix import Mix
from smt_jax.data.pack import pack
from smt_jax.data.rows import most_runs

T = 64
CONFIG = DataConfig(sequence_length=T, batch_size=8, replay_fraction=0.1)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  folder = tmp_path_factory.mktemp('mix')
  tokenizer = str(folder / 'tokenizer')
  make_tokenizer(folder / 'tokenizer')
  data = [write_records(folder / 'records.jsonl', corpus())]
  general = [write_records(folder / 'replay.jsonl', replay())]
  pack(data, tokenizer, folder / 'data', T, held_out=0.1)
  pack(data, tokenizer, folder / 'source', T, by='source')
  pack(general, tokenizer, folder / 'replay', T, held_out=0.1)
  pack(general, tokenizer, folder / 'short', 32)
  pack(data + general, tokenizer, folder / 'together', T)
  make_tokenizer(folder / 'other', vocab_size=390)
  pack(general, str(folder / 'other'), folder / 'stranger', T)
  return folder


def open_mix(place, data='data', replay_dir='replay', seed=0, process=(0, 1), **changes) -> Mix:
  config = dataclasses.replace(CONFIG, **changes)
  return Mix.open(place / data, replay_dir and place / replay_dir, config, seed=seed, process_index=process[0],
                  process_count=process[1])


def take(mix: Mix, start: int, count: int) -> list[dict[str, np.ndarray]]:
  batches = mix.batches(start)
  out = [next(batches) for _ in range(count)]
  batches.close()
  return out


def assert_equal(one: list[dict], two: list[dict]) -> None:
  assert len(one) == len(two)
  for a, b in zip(one, two):
    assert a.keys() == b.keys()
    for name in a:
      np.testing.assert_array_equal(a[name], b[name])


def test_a_batch_has_the_promised_fields(place):
  (batch,) = take(open_mix(place), 0, 1)
  assert {name: (value.shape, value.dtype.name) for name, value in batch.items()} == {
      **dict.fromkeys(('tokens', 'labels', 'segment_ids', 'positions', 'record_ids'), ((8, T), 'int32')),
      'kinds': ((8,), 'int32')}


def test_batches_hold_the_scheduled_rows_and_name_their_records(place):
  mix = open_mix(place)
  kinds = {row['id']: row['kind'] for row in corpus() + replay()}
  seen = collections.Counter()
  for step, batch in enumerate(take(mix, 0, 30)):
    which = mix.rows(step)
    assert batch['kinds'].tolist() == [SOURCES.index(mix.pools[p].name) for p in which.pools]
    np.testing.assert_array_equal((batch['segment_ids'] > 0).sum(1), which.tokens)
    for kind, ids in zip(batch['kinds'], batch['record_ids']):
      for record in set(ids.tolist()) - {-1}:
        assert kinds[mix.record_id(record)] == SOURCES[kind]
    for i in range(3):
      seen[SOURCES[i]] += int((batch['segment_ids'][batch['kinds'] == i] > 0).sum())
  total = sum(seen.values())
  for kind, share in (('qa', 0.45), ('document', 0.45), ('replay', 0.1)):
    assert abs(seen[kind] - share * total) <= T


@pytest.mark.parametrize('count', [2, 4])
def test_hosts_together_read_what_one_host_reads(place, count):
  whole = take(open_mix(place), 0, 6)
  parts = [take(open_mix(place, process=(i, count)), 0, 6) for i in range(count)]
  assert parts[0][0]['tokens'].shape == (8 // count, T)
  assert_equal([{name: np.concatenate([p[name] for p in step]) for name in step[0]} for step in zip(*parts)], whole)


def test_a_step_is_all_the_state(place):
  whole = take(open_mix(place), 0, 12)
  assert_equal(take(open_mix(place), 7, 5), whole[7:])
  iterator = open_mix(place).batches(2)
  next(iterator)
  state = iterator.get_state()
  assert state == {'next_index': 3}
  rest = [next(iterator) for _ in range(3)]
  again = open_mix(place, prefetch=1).batches()
  again.set_state(state)
  assert_equal([next(again) for _ in range(3)], rest)
  assert_equal(rest, whole[3:6])
  # ... and on two hosts, from there on
  halves = [take(open_mix(place, process=(i, 2)), 6, 2) for i in range(2)]
  assert_equal([{n: np.concatenate([h[n] for h in step]) for n in step[0]} for step in zip(*halves)], whole[6:8])


def test_grains_own_checkpoint_test(place):
  dataset = grain.experimental.LimitIterDataset(open_mix(place).dataset(), 6)
  grain.experimental.assert_equal_output_after_checkpoint(dataset)


def test_seed_orders_the_rows(place):
  one, same, other = (take(open_mix(place, seed=s), 0, 3) for s in (0, 0, 1))
  assert_equal(one, same)
  assert any(not np.array_equal(a['tokens'], b['tokens']) for a, b in zip(one, other))


def test_an_epoch_is_one_pass_over_the_longer_pool(place):
  mix = open_mix(place)
  data = PackedFolder(place / 'data')
  totals = {kind: int(data.tokens(kind).sum()) for kind in ('qa', 'document')}
  assert totals['document'] > totals['qa']
  for epochs in (1, 2):
    report = mix.report(mix.steps_for(0, epochs))['sources']
    assert epochs <= report['document']['passes'] < epochs + 8 * 3 * T / totals['document']
    assert report['qa']['passes'] > epochs and report['qa']['repeated_tokens'] > 0
  longer_qa = open_mix(place, ratios={'qa': 1.0, 'document': 20.0})
  assert 1 <= longer_qa.report(longer_qa.steps_for(0, 1))['sources']['qa']['passes'] < 1.05


def test_steps_for_a_budget_of_real_tokens(place):
  mix = open_mix(place)
  steps = mix.steps_for(20_000, 0)
  tokens = [int((b['segment_ids'] > 0).sum()) for b in take(mix, 0, steps)]
  assert sum(tokens) >= 20_000 > sum(tokens[:-1])


@pytest.mark.parametrize(('ratios', 'fraction', 'shares'), [
    ({'qa': 1.0, 'document': 0.0}, 0.25, {'qa': 0.75, 'replay': 0.25}),
    ({'document': 3.0}, 0.0, {'document': 1.0}),
    ({'qa': 1.0, 'document': 8.0}, 0.1, {'qa': 0.1, 'document': 0.8, 'replay': 0.1}),
])
def test_ratios_and_replay_fraction(place, ratios, fraction, shares):
  mix = open_mix(place, ratios=ratios, replay_fraction=fraction)
  report = mix.report(60)
  assert set(report['sources']) == set(shares)
  for name, share in shares.items():
    assert report['sources'][name]['target'] == pytest.approx(share)
    assert report['sources'][name]['share'] == pytest.approx(share, abs=2 * T / report['tokens'])


def test_report_counts_what_the_batches_hold(place):
  mix, steps = open_mix(place), 150
  report = mix.report(steps)
  views, by_document, by_source = collections.Counter(), collections.Counter(), collections.Counter()
  documents = {row['id']: row.get('document_ids', [''])[0] for row in corpus() + replay()}
  for batch in take(mix, 0, steps):
    for kind, ids, segments in zip(batch['kinds'], batch['record_ids'], batch['segment_ids']):
      views[ids.tobytes(), segments.tobytes()] += 1
      by_source[SOURCES[kind]] += int((segments > 0).sum())
      for record, count in collections.Counter(ids[ids >= 0].tolist()).items():
        by_document[documents[mix.record_id(record)], SOURCES[kind]] += count
  assert report['steps'] == steps and report['tokens'] == by_source.total()
  assert {name: s['tokens'] for name, s in report['sources'].items()} == by_source
  assert {(d, s): n for d, entry in report['documents'].items() for s, n in entry.items()
          if s in SOURCES} == by_document
  for source in report['sources'].values():
    assert source['unique_tokens'] + source['repeated_tokens'] == source['tokens']
  assert sum(s['repeated_tokens'] for s in report['sources'].values()) > 0
  assert sum(d['unique'] + d['repeated'] for d in report['documents'].values()) == report['tokens']


def test_rows_packed_by_source_mix_with_replay(place):
  mix = open_mix(place, data='source')
  assert [(p.name, pytest.approx(p.share)) for p in mix.pools] == [('replay', 0.1), ('mixed', 0.9)]
  assert {SOURCES[k] for b in take(mix, 0, 5) for k in b['kinds']} == {'replay', 'mixed'}


def test_replay_may_lie_in_the_same_folder(place):
  assert [p.name for p in open_mix(place, data='together', replay_dir=None).pools] == ['qa', 'document', 'replay']


def test_held_out_batches_cover_the_held_out_rows_once(place):
  mixes = [open_mix(place, process=(i, 2)) for i in range(2)]
  assert mixes[0].held_out_kinds() == ['qa', 'document', 'replay']
  for kind in ('qa', 'document', 'replay'):
    parts = [list(m.held_out_batches(kind)) for m in mixes]
    assert len(parts[0]) == len(parts[1]) and parts[0][0]['tokens'].shape == (4, T)
    rows = [(ids, labels) for step in zip(*parts) for b in step for ids, labels in zip(b['record_ids'], b['labels'])]
    real = [ids for ids, _ in rows if (ids >= 0).any()]
    folder = PackedFolder(place / ('replay' if kind == 'replay' else 'data'))
    assert len(real) == len(folder.tokens(kind, 'validation'))
    assert all((labels == -100).all() for ids, labels in rows[len(real):])
    names = {mixes[0].record_id(i) for ids in real for i in set(ids.tolist()) - {-1}}
    assert {n.split('-')[0] for n in names} == {kind}
  assert sum(len(b['kinds']) for b in open_mix(place).held_out_batches('document', max_rows=8)) == 8
  with pytest.raises(UserError, match="no held-out rows of kind 'qa'"):
    next(open_mix(place, data='source', replay_fraction=0.0).held_out_batches('qa'))


@pytest.mark.parametrize(('case', 'message'), [
    ({'replay_dir': 'short'}, r'short: rows of 32 tokens, but --config\.mix\.sequence_length=64'),
    ({'sequence_length': 32}, r'data: rows of 64 tokens, but --config\.mix\.sequence_length=32'),
    ({'replay_dir': 'stranger'}, 'stranger: packed with another tokenizer than .*data'),
    ({'ratios': {'qa': 1.0, 'story': 1.0}}, r"--config\.mix\.ratios: 'story' .* \(it holds qa, document\)"),
    ({'data': 'replay'}, r"--config\.mix\.ratios: 'qa' has a weight above 0, but .*replay holds no such rows"),
    ({'data': 'source', 'ratios': {'qa': 1.0}}, r"--config\.mix\.ratios: 'qa' .* \(it holds mixed\)"),
    ({'replay_dir': 'data'}, 'data: holds no rows of kind replay'),
    ({'process': (0, 3)}, r'--config\.mix\.batch_size=8: expected a multiple of the 3 processes'),
    ({'data': 'tokenizer'}, r'tokenizer: no pack\.json here'),
])
def test_what_does_not_fit_is_named(place, case, message):
  with pytest.raises(UserError, match=message):
    open_mix(place, **case)


def test_the_index_knows_how_many_segments_a_row_has(place):
  mix, full = open_mix(place), PackedFolder(place / 'data')
  held_out = [row for kind in mix.held_out_kinds() for row in mix.held_out_batches(kind)]
  assert mix.most_runs() >= max(most_runs(b['segment_ids']) for b in [*take(mix, 0, 40), *held_out]) > 2
  for kind in ('qa', 'document'):
    source = full.source(kind)
    assert full.most_runs(kind) == max(most_runs(source[i]['segment_ids']) for i in range(len(source)))


@pytest.fixture
def copied(place, tmp_path):
  for name in ('data', 'replay'):
    shutil.copytree(place / name, tmp_path / name)
  return tmp_path


@pytest.mark.parametrize('folder, kind, split', [('data', 'qa', 'train'), ('data', 'document', 'validation'),
                                                 ('replay', 'replay', 'train'), ('replay', 'replay', 'validation')])
def test_the_fullest_row_may_be_any_of_those_that_are_read(copied, folder, kind, split):
  index = copied / folder / index_name(kind, split, 'segments')
  table = np.load(index)
  np.save(index, np.concatenate([np.repeat(table[:1], 40, axis=0), table]))
  assert open_mix(copied).most_runs() >= 41


def test_rows_of_more_segments_than_a_run_was_compiled_for(copied, place):
  """Whatever becomes of the index meanwhile."""
  mix, index = open_mix(copied), copied / 'data' / index_name('qa', 'train', 'segments')
  table = np.load(index)
  np.save(index, table[np.unique(table[:, 0], return_index=True)[1]])  # as if every row held one segment
  folder = PackedFolder(copied / 'data')
  assert folder.most_runs('qa') == 2 < mix.most_runs()
  np.save(index, table)
  source = folder.source('qa')
  with pytest.raises(UserError, match=r'qa-train.*: row \d+ of qa has \d+ segments where the index knows of 2 at most'):
    for i in range(len(source)):
      source[i]


def test_an_index_that_does_not_fit_its_rows(copied):
  index = copied / 'data' / index_name('qa', 'train', 'segments')
  table = np.load(index)
  for damaged in (table[:0], table[table[:, 0] < 3]):
    np.save(index, damaged)
    with pytest.raises(UserError, match=rf'{index}: the segments of \d+ rows, there are \d+; the index is damaged'):
      open_mix(copied).most_runs()


def test_damaged_shards_are_named(place, tmp_path):
  def copy(name):
    shutil.copytree(place / 'data', tmp_path / name / 'data')
    shutil.copytree(place / 'replay', tmp_path / name / 'replay')
    (shard,) = (tmp_path / name / 'data/document/1.0.0').glob('document-train*')
    return tmp_path / name, shard
  folder, shard = copy('missing')
  shard.unlink()
  with pytest.raises(UserError, match=f'{shard}: is missing'):
    open_mix(folder)
  folder, shard = copy('short')
  shard.write_bytes(shard.read_bytes()[:-100])
  with pytest.raises(UserError, match=f'{shard}: has .* bytes, .* were written'):
    open_mix(folder)
  folder, shard = copy('flipped')
  content = bytearray(shard.read_bytes())
  for i in range(len(content) // 4, len(content) // 2):
    content[i] ^= 0x55
  shard.write_bytes(content)
  batches = open_mix(folder, prefetch=2).batches()
  with pytest.raises(UserError, match=f'{shard}: row .* of document cannot be read, the shard is damaged'):
    for _ in range(100):
      next(batches)


def test_input_speed_is_measured(place):
  result = measure_input(open_mix(place), steps=10, warmup=1)
  assert result['positions_per_second'] == pytest.approx(result['rows_per_second'] * T)
  assert 0 < result['tokens_per_second'] <= result['positions_per_second']
  assert result['rows_per_second'] == pytest.approx(80 / result['seconds'])
