"""The peer of `--suite=decode`: transformers' `generate` with a random Llama in bfloat16.

Run by `launch.benchmark --peer_python=...` with an interpreter that has torch and transformers; prints a JSON line for
every batch that fits. Decode tokens/s leave the prefill out, as ours do. A step's time hardly changes over a
continuation, so a few dozen new tokens are enough; the steps are those right after the prompt, the cheapest ones.
"""

import argparse
import gc
import json
import time

import torch
from hf_train import PRESETS
from transformers import LlamaConfig, LlamaForCausalLM


def main():
  p = argparse.ArgumentParser()
  p.add_argument('--preset', default='llama8b', choices=sorted(PRESETS))
  p.add_argument('--layers', type=int, default=32)
  p.add_argument('--prompt', type=int, default=1024)
  p.add_argument('--new_tokens', type=int, default=24)
  p.add_argument('--rows', default='128,256', help='batches that are tried, separated by commas')
  p.add_argument('--caches', default='dynamic', help='of dynamic and static (compiled), separated by commas')
  a = p.parse_args()
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  vocabulary, width, feed_forward, heads, key_heads, head_dim = PRESETS[a.preset]
  torch.set_default_dtype(torch.bfloat16)
  with torch.device(device):
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=a.layers,
        num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=head_dim, max_position_embeddings=131072,
        attn_implementation='sdpa')).eval()

  def timed(tokens, n, cache):
    if device == 'cuda':
      torch.cuda.synchronize()
    begun = time.perf_counter()
    with torch.inference_mode():
      model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=n, min_new_tokens=n,
                     do_sample=False, pad_token_id=0, **({} if cache == 'dynamic' else {'cache_implementation': cache}))
    if device == 'cuda':
      torch.cuda.synchronize()
    return time.perf_counter() - begun

  for cache in a.caches.split(','):
    for rows in map(int, a.rows.split(',')):
      tokens = torch.randint(1, vocabulary, (rows, a.prompt), device=device)
      try:
        timed(tokens, 4, cache)
        first, whole = timed(tokens, 1, cache), timed(tokens, a.new_tokens, cache)
      except torch.cuda.OutOfMemoryError:
        print(f'left out: {rows} rows: out of memory', flush=True)
      else:
        print(json.dumps({
            'who': f'transformers ({cache} cache)', 'what': 'one batch', 'rows': rows, 'prompt_tokens': a.prompt,
            'new_tokens': a.new_tokens, 'per_second': rows * (a.new_tokens - 1) / (whole - first),
            'end_to_end_per_second': rows * a.new_tokens / whole, 'prefill_per_second': rows * a.prompt / first,
            'seconds': whole, 'torch': torch.__version__}), flush=True)
      del tokens
      gc.collect()
      torch.cuda.empty_cache()


if __name__ == '__main__':
  main()
