"""Loading a tokenizer folder, and a fingerprint by which packed rows and checkpoints know each other's tokenizer."""

import hashlib
import json
import os
import pathlib
from typing import Any

from data_gen import storage
from data_gen.errors import UserError


def load_tokenizer(folder: str | os.PathLike[str]) -> Any:
  """The fast Hugging Face tokenizer in a folder (`tokenizer.json` or what transformers converts into one).

  Raises:
    UserError: no such folder, no tokenizer in it, or one without a fast (Rust) implementation.
  """
  folder = pathlib.Path(storage.local(folder))
  if not folder.is_dir():
    raise UserError(f'{folder}: no such tokenizer folder')
  from transformers import AutoTokenizer  # takes seconds to import; only where a tokenizer is really loaded
  try:
    tokenizer = AutoTokenizer.from_pretrained(os.fspath(folder), local_files_only=True)
  except Exception as e:  # transformers raises OSError, ValueError, KeyError, ... by the file that is missing or wrong
    raise UserError(f'{folder}: holds no tokenizer that transformers can load ({type(e).__name__}: {e})') from None
  if not tokenizer.is_fast:
    raise UserError(f'{folder}: expected a fast tokenizer (tokenizer.json), found {type(tokenizer).__name__}')
  return tokenizer


def tokenizer_fingerprint(tokenizer: Any) -> str:
  """A hash of what makes two tokenizers interchangeable for trained weights: 64 hex digits.

  Covers every token with its id, the BOS and EOS ids and the chat template; not the folder it came from, and not the
  pad token, which never carries loss and which many programs set on loading.
  """
  content = {
      'vocabulary': sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0])),
      'bos': tokenizer.bos_token_id,
      'eos': tokenizer.eos_token_id,
      'chat_template': tokenizer.chat_template,
  }
  return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def pad_id(tokenizer: Any) -> int:
  """The id that fills rows: the pad token, else the end token, else 0 (padding carries no loss and no attention)."""
  for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
    if token is not None:
      return int(token)
  return 0
