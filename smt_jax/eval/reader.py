"""What the evaluation asks of a model, whoever runs it: our own engine, an endpoint, or a test's known answers."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Messages = list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How replies are drawn; temperature 0 is greedy."""
  max_new_tokens: int = 1024
  temperature: float = 0.0
  top_p: float = 1.0
  samples: int = 1
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Reply:
  """One reply. `finish_reason`: 'stop' (it ended itself), 'length' (cut off), 'refused: ...' (by the endpoint)."""
  text: str
  finish_reason: str = 'stop'
  tokens: int = 0


@dataclasses.dataclass(frozen=True)
class OptionScore:
  """The natural-log probability of one option's text after the prompt, and how many tokens that text has."""
  logprob: float
  tokens: int


class Reader(Protocol):
  """A model behind prompts.

  `done(i, ...)` is called once for each prompt, in any order, as soon as its result is there, so that the caller can
  put it on disk; an exception that it raises ends the call. Results depend on the prompt, the sampling and the seed,
  never on the other prompts of the call.
  """
  max_positions: int | None  # longest prompt + reply; None where the reader cannot say

  def prompt_tokens(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]] | None = None) -> list[int]:
    """Length of each rendered prompt (with its longest option, where given) in tokens; 0 where unknown."""
    ...

  def prompt_text(self, messages: Messages) -> str:
    """What the model reads, as text: the chat template's rendering where there is one."""
    ...

  def rendering(self, messages: Messages) -> dict[str, Any]:
    """What a result should pin: template, end tokens, stop strings and this prompt's token ids, as far as known."""
    ...

  def complete(self, prompts: Sequence[Messages], keys: Sequence[str], sampling: Sampling,
               done: Callable[[int, list[Reply]], None]) -> None:
    """Replies to each prompt, `sampling.samples` of them; `keys` seed the sampling of each prompt."""
    ...

  def option_scores(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]],
                    done: Callable[[int, list[OptionScore]], None]) -> None:
    """Scores of each prompt's options as the text after "Answer:"."""
    ...
