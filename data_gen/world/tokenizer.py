"""A small byte-level BPE tokenizer as a Hugging Face folder, with a chat template in Llama 3's manner."""

import glob
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import PathLike, read_jsonl

BOS, EOS, PAD = '<|begin_of_text|>', '<|end_of_text|>', '<|pad|>'
HEADER, HEADER_END, TURN_END = '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'
SPECIAL = (BOS, EOS, PAD, HEADER, HEADER_END, TURN_END)
MIN_VOCABULARY = 256 + len(SPECIAL)

# GPT-2's pattern, but every digit by itself while merges are learnt; numbers get tokens of their own afterwards.
_PATTERN = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_NUMBERS_WHOLE = _PATTERN.replace(r'\p{N}|', r'\p{N}{1,4}|')
_SPACE = 'Ġ'  # how byte-level tokens write it
_LARGEST = 9999

# `generation` marks what the assistant says, for masks of `apply_chat_template(return_assistant_tokens_mask=True)`.
CHAT_TEMPLATE = (
  '{{ bos_token }}'
  '{% for message in messages %}'
  f"{{{{ '{HEADER}' + message['role'] + '{HEADER_END}\\n\\n' }}}}"
  "{% if message['role'] == 'assistant' %}"
  f"{{% generation %}}{{{{ message['content'] | trim + '{TURN_END}' }}}}{{% endgeneration %}}"
  '{% else %}'
  f"{{{{ message['content'] | trim + '{TURN_END}' }}}}"
  '{% endif %}'
  '{% endfor %}'
  '{% if add_generation_prompt %}'
  f"{{{{ '{HEADER}assistant{HEADER_END}\\n\\n' }}}}"
  '{% endif %}')


def train_tokenizer(texts: Iterable[str], vocab_size: int, out_dir: PathLike,
                    numbers: Iterable[tuple[int, int]] = ()) -> int:
  """Trains on the texts and writes a folder for `AutoTokenizer.from_pretrained`; returns the vocabulary's size.

  The folder appears whole or not at all. bos, eos and pad are set; encoding with special tokens puts bos first.

  Args:
    vocab_size: at least the 256 bytes, the special tokens and the numbers; a small corpus may give fewer tokens than
      asked for.
    numbers: ranges of whole numbers up to 9999 that are one token each after a space, as all up to 999 are for Llama
      3. A small model copies a number of one token like a word, but loses its way among digits that many numbers share.

  Raises:
    UserError: a vocabulary too small, a range that is none, no text at all, a folder that cannot be written.
  """
  from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
  from transformers import PreTrainedTokenizerFast

  merges = _number_merges(numbers)
  if vocab_size < MIN_VOCABULARY + len(merges):
    raise UserError(f'--vocab_size={vocab_size}: expected {MIN_VOCABULARY + len(merges)} or more, for bytes, special '
                    'tokens and numbers')
  counted = _Counted(texts)
  tokenizer = Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = _split_by(_PATTERN)
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=vocab_size - len(merges), special_tokens=list(SPECIAL), show_progress=False,
    initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
  tokenizer.train_from_iterator(counted, trainer)
  if not counted.characters:
    raise UserError('--source: no text to train a tokenizer on')
  if merges:
    tokenizer = _with_merges(tokenizer, merges)
    tokenizer.pre_tokenizer = _split_by(_NUMBERS_WHOLE)
  tokenizer.post_processor = processors.TemplateProcessing(
    single=f'{BOS} $A', pair=f'{BOS} $A $B', special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
  fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False,
    additional_special_tokens=[HEADER, HEADER_END, TURN_END])
  fast.chat_template = CHAT_TEMPLATE
  _save(fast, pathlib.Path(out_dir))
  return len(fast)


def _split_by(pattern: str) -> Any:
  """Cuts text by the pattern, then into bytes."""
  from tokenizers import Regex, pre_tokenizers
  return pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(pattern), behavior='isolated'),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _number_merges(ranges: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
  """The merges that make these numbers, and what they begin with, out of digits; in the order they apply."""
  wanted: set[str] = set()
  for low, high in ranges:
    if not 0 <= low <= high <= _LARGEST:
      raise UserError(f'--numbers={low}-{high}: expected a range within 0 to {_LARGEST}')
    wanted.update(str(n)[:k] for n in range(low, high + 1) for k in range(1, len(str(n)) + 1))
  return [(_SPACE + n[:-1], n[-1]) for n in sorted(wanted, key=lambda n: (len(n), n))]


def _with_merges(tokenizer: Any, merges: list[tuple[str, str]]) -> Any:
  """The BPE tokenizer with further merges after its own."""
  state = json.loads(tokenizer.to_str())
  model = state['model']
  for merge in merges:
    if ''.join(merge) not in model['vocab']:
      model['vocab'][''.join(merge)] = len(model['vocab'])
      model['merges'].append(list(merge))
  return type(tokenizer).from_str(json.dumps(state))


class _Counted:
  """Counts what passes, as the trainer does not complain about an empty corpus."""

  def __init__(self, texts: Iterable[str]):
    self.texts = texts
    self.characters = 0

  def __iter__(self) -> Iterator[str]:
    for text in self.texts:
      self.characters += len(text)
      yield text


def _save(tokenizer: Any, out_dir: pathlib.Path) -> None:
  """Writes beside the final name, then renames; an older tokenizer folder of that name is replaced."""
  ours = (out_dir / 'tokenizer.json').exists() or (out_dir.is_dir() and not any(out_dir.iterdir()))
  if out_dir.exists() and not ours:
    raise UserError(f'--out={out_dir}: exists and is no tokenizer folder')
  try:
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f'.{out_dir.name}.') as partial:
      new = pathlib.Path(partial) / 'tokenizer'
      tokenizer.save_pretrained(new)
      if out_dir.exists():
        shutil.rmtree(out_dir)
      new.rename(out_dir)
  except OSError as e:
    raise UserError(f'--out={out_dir}: cannot write ({e.strerror or e})') from None


def texts_of(source: str) -> Iterator[str]:
  """All text of the JSONL files (documents or records) that a glob names: `text`, or the contents of `messages`.

  Raises:
    UserError: no matching file; a malformed line; a line with neither field.
  """
  paths = sorted(glob.glob(source, recursive=True))
  if not paths:
    raise UserError(f'--source={source}: no such file')
  for path in paths:
    for number, row in read_jsonl(path):
      messages = row.get('messages')
      if isinstance(row.get('text'), str):
        yield row['text']
      elif isinstance(messages, list) and all(isinstance(m, dict) and isinstance(m.get('content'), str)
                                              for m in messages):
        yield from (m['content'] for m in messages)
      else:
        raise UserError(f'{path}:{number}: expected "text" or "messages" with "content"')
