"""The world's tokenizer: sizes of documents in it, chat template and masks, one digit a token, whole folders only."""

import json
import subprocess
import sys

import numpy as np
import pytest
from transformers import AutoTokenizer

from data_gen import schema
from data_gen.errors import UserError
from data_gen.jsonl import write_jsonl
from data_gen.world import WorldSpec, background_records, generate
from data_gen.world.tokenizer import MIN_VOCABULARY, texts_of, train_tokenizer

BOTH = ('town', 'company')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A 2,048-token vocabulary from background records, through the file they are kept in."""
  base = tmp_path_factory.mktemp('tokenizer')
  spec = WorldSpec(seed=0, documents=500, genres=BOTH, set='background')
  write_jsonl(base / 'records.jsonl', map(schema.to_row, background_records(spec)))
  assert train_tokenizer(texts_of(str(base / 'rec*.jsonl')), 2048, base / 'out') == 2048
  return base / 'out'


@pytest.fixture(scope='module')
def tokenizer(folder):
  return AutoTokenizer.from_pretrained(folder)


def test_study_documents_have_400_to_900_tokens(tokenizer):
  """Also with the shortest and the longest settings within the default range of facts."""
  texts = [w.document.text for w in generate(WorldSpec(seed=1, documents=200, genres=BOTH))]
  lengths = [len(ids) for ids in tokenizer(texts)['input_ids']]
  assert min(lengths) >= 400 and max(lengths) <= 900
  assert 500 < np.mean(lengths) < 700


def test_names_and_numbers_split_into_few_pieces(tokenizer):
  worlds = list(generate(WorldSpec(seed=1, documents=40, genres=BOTH)))
  names = [f' {n}' for w in worlds for n in w.story.people + w.story.places]
  pieces = [len(ids) for ids in tokenizer(names, add_special_tokens=False)['input_ids']]
  assert np.mean(pieces) < 4.5 and max(pieces) <= 7
  for number in (' 1807', '1807', ' 42', '990'):
    ids = tokenizer(number, add_special_tokens=False)['input_ids']
    assert [tokenizer.decode([i]).strip() for i in ids] == list(number.strip())


def test_ranges_of_numbers_get_a_token_each(tmp_path):
  texts = ['In 1834 the mill had 42 sheep.', 'Since 1807 it had 990.']
  with pytest.raises(UserError, match='--numbers=5-3: expected a range within 0 to 9999'):
    train_tokenizer(texts, 900, tmp_path / 'no', [(5, 3)])
  with pytest.raises(UserError, match='--vocab_size=300: expected'):
    train_tokenizer(texts, 300, tmp_path / 'no', [(10, 99)])
  assert not (tmp_path / 'no').exists()
  train_tokenizer(texts, 900, tmp_path / 'out', [(10, 99), (1800, 1849)])
  found = AutoTokenizer.from_pretrained(tmp_path / 'out')
  for number in (' 42', ' 99', ' 1800', ' 1849'):
    assert len(found(number, add_special_tokens=False)['input_ids']) == 1
  assert len(found(' 1850', add_special_tokens=False)['input_ids']) == 3  # 18, 5, 0: it begins none of ours with 185
  for text in ('In 1846, 12345 of 007 and\n1999 99', '1834'):
    assert found.decode(found(text, add_special_tokens=False)['input_ids']) == text


def test_any_text_survives(tokenizer):
  for text in ('Ä weird\n\n\ttext  with   spaces, 1234.5 <b>\nnew 你好 ', ' a', "it's", '\n'):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)['input_ids']) == text


def test_special_tokens(tokenizer):
  assert tokenizer.bos_token == '<|begin_of_text|>' and tokenizer.eos_token == '<|end_of_text|>'
  assert tokenizer.pad_token == '<|pad|>' and len({tokenizer.bos_token_id, tokenizer.eos_token_id,
                                                   tokenizer.pad_token_id}) == 3
  for token in ('<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'):
    assert tokenizer(token, add_special_tokens=False)['input_ids'] == [tokenizer.convert_tokens_to_ids(token)]
  assert tokenizer('a')['input_ids'][0] == tokenizer.bos_token_id
  assert len(tokenizer) == 2048


def test_chat_template_is_llama_3s_and_masks_what_the_assistant_says(tokenizer):
  messages = [{'role': 'user', 'content': 'Who built it?'}, {'role': 'assistant', 'content': 'The mason. '},
              {'role': 'user', 'content': 'When?'}, {'role': 'assistant', 'content': 'In 1834.'}]
  text = tokenizer.apply_chat_template(messages, tokenize=False)
  assert text == (
    '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho built it?<|eot_id|>'
    '<|start_header_id|>assistant<|end_header_id|>\n\nThe mason.<|eot_id|>'
    '<|start_header_id|>user<|end_header_id|>\n\nWhen?<|eot_id|>'
    '<|start_header_id|>assistant<|end_header_id|>\n\nIn 1834.<|eot_id|>')
  prompt = tokenizer.apply_chat_template(messages[:3], tokenize=False, add_generation_prompt=True)
  assert text.startswith(prompt)
  encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
  said = [i for i, said in zip(encoded['input_ids'], encoded['assistant_masks'], strict=True) if said]
  assert tokenizer.decode(said) == 'The mason.<|eot_id|>In 1834.<|eot_id|>'
  assert encoded['input_ids'].count(tokenizer.bos_token_id) == 1


def test_training_is_deterministic(folder, tmp_path):
  source = folder.parent / 'records.jsonl'
  train_tokenizer(texts_of(str(source)), 2048, tmp_path / 'again')
  assert (tmp_path / 'again' / 'tokenizer.json').read_bytes() == (folder / 'tokenizer.json').read_bytes()


def test_a_vocabulary_too_small_and_no_text_are_refused(tmp_path):
  with pytest.raises(UserError, match=f'vocab_size=100: expected {MIN_VOCABULARY}'):
    train_tokenizer(['text'], 100, tmp_path / 'out')
  with pytest.raises(UserError, match='no text'):
    train_tokenizer([], 300, tmp_path / 'out')
  assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_not_overwritten(tmp_path):
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'precious.txt').write_text('x')
  with pytest.raises(UserError, match='no tokenizer folder'):
    train_tokenizer(['some text'], 300, tmp_path / 'out')
  assert (tmp_path / 'out' / 'precious.txt').read_text() == 'x'


def test_sources(tmp_path):
  with pytest.raises(UserError, match='no such file'):
    list(texts_of(str(tmp_path / '*.jsonl')))
  (tmp_path / 'a.jsonl').write_text('{"text": "one"}\n{"messages": [{"role": "user", "content": "two"}]}\n')
  assert list(texts_of(str(tmp_path / '*.jsonl'))) == ['one', 'two']
  (tmp_path / 'b.jsonl').write_text('{"text": "one"}\n{"title": "x"}\n')
  with pytest.raises(UserError, match=r'b\.jsonl:2: expected "text"'):
    list(texts_of(str(tmp_path / 'b.jsonl')))


def test_the_program(tmp_path):
  rows = [json.dumps({'id': str(k), 'text': f'The mill of number {k} was built in 18{k}.'}) for k in range(10, 60)]
  (tmp_path / 'documents.jsonl').write_text('\n'.join(rows))
  command = [sys.executable, '-m', 'launch.train_tokenizer', f'--source={tmp_path}/documents.jsonl']
  done = subprocess.run([*command, '--vocab_size=280', f'--out={tmp_path}/tok'], capture_output=True, text=True)
  assert done.returncode == 0 and '280 tokens' in done.stdout, done.stderr
  assert len(AutoTokenizer.from_pretrained(tmp_path / 'tok')) == 280
  done = subprocess.run([*command, '--vocab_size=7', f'--out={tmp_path}/no'], capture_output=True, text=True)
  assert done.returncode == 1 and 'vocab_size=7' in done.stderr and 'Traceback' not in done.stderr
