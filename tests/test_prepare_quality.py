"""QuALITY in all the forms its owners publish, and all the ways in which its files can be wrong."""

import json
import zipfile

import pytest
from prepare_fixtures import quality_question, quality_row, unlabelled, write_lines

from data_gen.benchmarks import quality
from data_gen.errors import UserError

TRAIN, DEV = 'QuALITY.v1.0.1.htmlstripped.train', 'QuALITY.v1.0.1.htmlstripped.dev'


def read(source):
  return quality.read(str(source), {})


def records(*rows):
  return quality.from_records((f'file:{n}', row) for n, row in enumerate(rows, start=1))


def test_two_writer_sets_of_one_article_are_one_document():
  prepared = records(quality_row(writer='S1'), quality_row(writer='S2', questions=3))
  assert [d.id for d in prepared.documents] == ['101']
  assert len(prepared.questions) == 5 and {q.group for q in prepared.questions} == {'101'}
  document = prepared.documents[0]
  assert (document.title, document.author, document.date) == ('The Long Way', 'Writer, Some', '1951')
  assert document.metadata['source'] == 'Gutenberg' and 'questions' not in document.metadata


def test_gold_label_counts_from_one_and_difficult_is_a_flag():
  rows = [quality_question(f'q{gold}', gold_label=gold, difficult=d) for gold, d in ((1, 1), (4, 0), (2, None))]
  prepared = records(quality_row() | {'questions': rows})
  assert [(q.answer, q.hard) for q in prepared.questions] == [(0, True), (3, False), (1, None)]
  assert prepared.questions[0].options == ('North', 'South', 'East', 'West')


def test_unknown_keys_of_a_question_are_kept_in_its_metadata():
  question = quality_question('q1', evidence=[{'start': 0, 'end': 5}], reasoning='two facts', type='date')
  metadata = records(quality_row() | {'questions': [question]}).questions[0].metadata
  assert metadata == {'evidence': [{'start': 0, 'end': 5}], 'reasoning': 'two facts', 'type': 'date'}


@pytest.mark.parametrize('author, merged', [('Writer, Some', 1), ('Other, One', 2)])
def test_without_ids_articles_merge_by_title_author_and_equal_text(author, merged):
  second = quality_row(writer='S2', author=author, article_id='', article='Anna  went north.\nIt was cold.')
  assert len(records(quality_row(article_id=''), second).documents) == merged


def test_two_articles_of_one_title_stay_two_and_can_be_told_apart():
  prepared = records(quality_row('1', article='One text.'), quality_row('2', article='Another.', author='B', year=1960),
                     quality_row('3', 'Other title', article='Third.'))
  assert [d.title for d in prepared.documents] == ['The Long Way (Writer, Some, 1951)', 'The Long Way (B, 1960)',
                                                   'Other title']
  assert prepared.documents[0].metadata['published_title'] == 'The Long Way'
  assert any('2 different documents are titled "The Long Way"' in note for note in prepared.notes)
  unknown = {'author': '', 'year': None, 'title': '[101]'}
  alike = records(quality_row('1', article='One text.', **unknown), quality_row('2', article='Another.', **unknown))
  assert [d.title for d in alike.documents] == ['[101] (1)', '[101] (2)']


def test_one_id_for_two_texts_is_refused():
  with pytest.raises(UserError, match='file:2: article_id "101" already stands for a different text at file:1'):
    records(quality_row(), quality_row(writer='S2', article='Nothing in common with that story at all.'))


def test_html_is_stripped_and_words_do_not_run_together():
  body = '<p>Anna went<br/>north.</p><p>It <i>was</i>\n cold.</p>'
  prepared = records(quality_row(article=f'<html><head><title>x</title></head><body>{body}</body></html>'))
  assert prepared.documents[0].text == 'Anna went\nnorth.\n\nIt was cold.'


@pytest.mark.parametrize('change, reason', [
  ({'options': ['a', 'b', 'c']}, 'has 3 options, expected 4'),
  ({'options': list('abcdef')}, 'has 6 options, expected 4'),
  ({'gold_label': 0}, 'gold_label 0 is out of range, expected 1 to 4'),
  ({'gold_label': 5}, 'gold_label 5 is out of range'),
  ({'gold_label': None}, 'unlabelled'),
  ({'question': ''}, '"question" is missing or empty'),
  ({'options': None}, '"options" is missing'),
])
def test_a_bad_question_is_skipped_with_its_reason(change, reason):
  rows = [quality_question('bad', **change), quality_question('good')]
  prepared = records(quality_row() | {'questions': rows})
  assert [q.id for q in prepared.questions] == ['good']
  skipped, = prepared.skipped
  assert (skipped.file, skipped.place) == ('file:1', 'question bad') and reason in skipped.reason


def test_duplicate_questions_are_skipped_by_id_and_said_by_content():
  same = [quality_question('q1'), quality_question('q1'),
          quality_question('q2', question=quality_question('q1')['question'])]
  prepared = records(quality_row() | {'questions': same})
  assert [q.id for q in prepared.questions] == ['q1', 'q2']
  assert 'duplicate' in prepared.skipped[0].reason
  assert any('q2 repeats question q1' in note for note in prepared.notes)


def test_an_article_without_text_takes_its_questions_with_it():
  prepared = records(quality_row('1', article='  '), quality_row('2'))
  assert [d.id for d in prepared.documents] == ['2'] and len(prepared.questions) == 2
  assert [s.place.split()[0] for s in prepared.skipped] == ['document', 'question', 'question']


@pytest.mark.parametrize('change, message', [
  ({'title': None}, 'field "title" should be a string'), ({'article': 3}, 'field "article" should be a string'),
  ({'questions': 'x'}, 'field "questions" should be a list')])
def test_a_record_of_the_wrong_form_is_an_error_with_its_line(change, message):
  with pytest.raises(UserError, match=f'file:1: {message}'):
    records(quality_row() | change)


def test_a_missing_field_is_an_error_with_its_line(tmp_path):
  row = quality_row()
  del row['article']
  path = write_lines(tmp_path / TRAIN, [quality_row('5'), row])
  with pytest.raises(UserError, match=f'{path}:2: field "article" is missing'):
    read(path)


def test_malformed_line_empty_file_and_missing_file(tmp_path):
  path = write_lines(tmp_path / TRAIN, [quality_row(), '{"title": '])
  with pytest.raises(UserError, match=f'{path}:2: not valid JSON'):
    read(path)
  path.write_text('')
  with pytest.raises(UserError, match='is empty'):
    read(path)
  with pytest.raises(UserError, match='no such file'):
    read(tmp_path / 'nothing')


def test_folder_prefers_stripped_files_and_leaves_the_test_split_out(tmp_path):
  write_lines(tmp_path / TRAIN, [quality_row('1', article='Stripped train.')])
  write_lines(tmp_path / DEV, [quality_row('2', article='Stripped dev.')])
  write_lines(tmp_path / 'QuALITY.v1.0.1.train', [quality_row('1', article='<p>HTML train.</p>')])
  write_lines(tmp_path / 'QuALITY.v1.0.1.htmlstripped.test', [unlabelled(quality_row('3'))])
  prepared = read(tmp_path)
  assert {d.text for d in prepared.documents} == {'Stripped train.', 'Stripped dev.'}
  assert any('test split has no labels' in note for note in prepared.notes)
  assert any('found 2 articles and 4 questions' in note and '265 and 4,609' in note for note in prepared.notes)


def test_counts_are_compared_with_the_split_that_was_read(tmp_path):
  path = write_lines(tmp_path / DEV, [quality_row()])
  assert any('dev has 115 and 2,086' in note for note in read(path).notes)


def test_matching_counts_are_said(tmp_path):
  rows = [quality_row(str(n), f'Title {n}', f'Text number {n}.', questions=8) for n in range(115)]
  rows += [quality_row(str(n), f'Title {n}', f'Text number {n}.', questions=10, writer='S2') for n in range(115)]
  rows += [quality_row('0', 'Title 0', 'Text number 0.', questions=2086 - 115 * 18, writer='S3')]
  path = write_lines(tmp_path / DEV, rows)
  assert any('counts match the published ones: 115 articles, 2,086 questions' in note for note in read(path).notes)


@pytest.mark.parametrize('name', ['QuALITY.v1.0.1.htmlstripped.test', 'renamed.jsonl'])
def test_the_unlabelled_test_split_is_refused(tmp_path, name):
  path = write_lines(tmp_path / name, [unlabelled(quality_row())])
  with pytest.raises(UserError, match=r'test split.*train and dev'):
    read(path)
  with pytest.raises(UserError, match=r'test split.*train and dev'):
    read(tmp_path)


def test_zip_and_several_files(tmp_path):
  for name, row in ((TRAIN, quality_row('1')), (DEV, quality_row('2', article='Other text.'))):
    write_lines(tmp_path / name, [row])
  whole = tmp_path / 'QuALITY.v1.0.1.zip'
  with zipfile.ZipFile(whole, 'w') as z:
    for name in (TRAIN, DEV):
      z.write(tmp_path / name, name)
  expected = {'1', '2'}
  assert {d.id for d in read(whole).documents} == expected
  assert {d.id for d in read(f'{tmp_path / TRAIN},{tmp_path / DEV}').documents} == expected
  assert {d.id for d in read(tmp_path / '*stripped*').documents} == expected
  downloads = tmp_path / 'downloads'
  downloads.mkdir()
  (downloads / whole.name).write_bytes(whole.read_bytes())
  assert {d.id for d in read(downloads).documents} == expected  # the folder that launch/download.sh makes
  whole.write_bytes(whole.read_bytes()[:-30])
  with pytest.raises(UserError, match='cannot be read as a zip'):
    read(whole)


@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_damaged_in_the_middle_is_refused(tmp_path, method):
  path = tmp_path / 'QuALITY.zip'
  with zipfile.ZipFile(path, 'w', method) as z:
    z.writestr(TRAIN, '\n'.join(json.dumps(quality_row(str(n), article=f'Text {n}. ' * 50)) for n in range(40)))
  data = bytearray(path.read_bytes())
  for at in range(200, 230):
    data[at] ^= 0x5A
  path.write_bytes(bytes(data))
  with pytest.raises(UserError, match='damaged'):
    read(path)


def test_a_malformed_line_inside_the_zip_names_member_and_line(tmp_path):
  path = tmp_path / 'QuALITY.zip'
  with zipfile.ZipFile(path, 'w') as z:
    z.writestr(TRAIN, json.dumps(quality_row()) + '\nnot json\n')
  with pytest.raises(UserError, match=f'{path}/{TRAIN}:2: not valid JSON'):
    read(path)


def test_the_real_articles(test_data):
  prepared = read(test_data / 'quality')
  assert len(prepared.documents) == 46 and len(prepared.questions) == 55
  assert len({d.title for d in prepared.documents}) == 46
  by_id = {d.id: d for d in prepared.documents}
  assert all(q.document_ids[0] in by_id for q in prepared.questions)
  assert by_id['23592'].author == 'Gimble, Stanley' and by_id['23592'].date == '1964'


def test_html_and_stripped_text_of_the_real_article_have_the_same_words(test_data):
  html, stripped = (read(test_data / 'quality' / f'one_record_v1.0.1.{kind}.jsonl')
                    for kind in ('html', 'htmlstripped'))
  assert html.documents[0].text.split() == stripped.documents[0].text.split()
  assert [(q.id, q.answer, q.options) for q in html.questions] == [(q.id, q.answer, q.options)
                                                                   for q in stripped.questions]
  assert any('\n\n' in d.text for d in html.documents)


def test_tfds_builder_reads_back_what_was_prepared_without_tensorflow(tmp_path):
  pytest.importorskip('importlib_resources')
  import sys

  from data_gen.benchmarks.tfds_quality import Quality
  write_lines(tmp_path / TRAIN, [quality_row('1', questions=3)])
  write_lines(tmp_path / DEV, [quality_row('2', article='Other text.', writer=w) for w in ('S1', 'S2')])
  whole = tmp_path / 'QuALITY.zip'
  with zipfile.ZipFile(whole, 'w') as z:
    for name in (TRAIN, DEV):
      z.write(tmp_path / name, name)
  builder = Quality(source=whole, data_dir=tmp_path / 'tfds')
  builder.download_and_prepare()
  article, = list(builder.as_data_source('train'))
  assert article['author'] == b'Writer, Some' and article['year'] == b'1951'
  assert list(article['questions']['answer']) == [0, 0, 0] and article['questions']['option_d'][0] == b'West'
  assert len(next(iter(builder.as_data_source('dev')))['questions']['id']) == 4
  assert 'tensorflow' not in sys.modules
  with zipfile.ZipFile(whole, 'a') as z:
    z.writestr('more', 'x')
  with pytest.raises(UserError, match='sha256 is'):
    Quality(source=whole, data_dir=tmp_path / 'tfds', version='1.0.1').download_and_prepare(
      download_config=_again())


def _again():
  import tensorflow_datasets as tfds
  return tfds.download.DownloadConfig(download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
