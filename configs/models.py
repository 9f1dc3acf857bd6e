"""Shapes of the students, as in their published config.json: for planning, and for runs on fresh weights.

A run that starts from a checkpoint (`--config.init`) takes the checkpoint's own.
"""

from smt_jax.config import ModelConfig


def llama8b() -> ModelConfig:
  """Llama 3.1 8B (8.03 billion parameters)."""
  return ModelConfig(
      vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
      num_key_value_heads=8, head_dim=128, max_position_embeddings=131072, rope_theta=500000.0,
      rope_scaling={'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                    'original_max_position_embeddings': 8192},
      rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=128000, eos_token_id=(128001, 128008, 128009))


def _qwen3(hidden: int, intermediate: int, layers: int, heads: int, tied: bool) -> ModelConfig:
  return ModelConfig(
      vocab_size=151936, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
      num_attention_heads=heads, num_key_value_heads=8, head_dim=128, max_position_embeddings=40960,
      rope_theta=1000000.0, rms_norm_eps=1e-6, tie_word_embeddings=tied, qk_norm=True, model_type='qwen3',
      bos_token_id=151643, eos_token_id=(151645, 151643), pad_token_id=151643)


def qwen1_7b() -> ModelConfig:
  return _qwen3(2048, 6144, 28, 16, True)


def qwen4b() -> ModelConfig:
  return _qwen3(2560, 9728, 36, 32, True)


def qwen8b() -> ModelConfig:
  return _qwen3(4096, 12288, 36, 32, False)


def qwen14b() -> ModelConfig:
  return _qwen3(5120, 17408, 40, 40, False)
