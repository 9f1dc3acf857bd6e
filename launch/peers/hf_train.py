"""The peer of `--suite=train`: a Hugging Face Llama's training step (random weights, bfloat16 state, fused AdamW).

Run by `launch.benchmark --peer_python=...` with an interpreter that has torch and transformers; prints a JSON line for
each way of running it that the machine allows: as it is, compiled, with Liger's kernels, with both. Each runs in a
process of its own, as an error on the GPU ends the one it happens in. It takes no gradient norm, clips nothing and
rounds to nearest, which ours does not allow itself.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

PRESETS = {  # (vocabulary, width, feed-forward, heads, key heads, head dim)
    'llama8b': (128256, 4096, 14336, 32, 8, 128),
    'tiny': (512, 64, 128, 4, 2, 16),
}
PEAK = {'H100': 989e12, 'H200': 989e12, 'A100': 312e12, 'B200': 2250e12}


def build(a, device):
  vocabulary, width, feed_forward, heads, key_heads, head_dim = PRESETS[a.preset]
  config = LlamaConfig(
      vocab_size=vocabulary, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=a.layers,
      num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=head_dim, max_position_embeddings=131072,
      attn_implementation='sdpa', use_cache=False)
  torch.set_default_dtype(torch.bfloat16)
  with torch.device(device):
    return LlamaForCausalLM(config).train()


def flops_per_token(model, length):
  c = model.config
  matmul = sum(p.numel() for p in model.parameters()) - c.vocab_size * c.hidden_size
  return 6 * matmul + 6 * c.num_hidden_layers * c.num_attention_heads * c.head_dim * length


def measure(a, way, rows, device):
  model = build(a, device)
  if 'liger' in way:
    from liger_kernel.transformers import apply_liger_kernel_to_llama
    apply_liger_kernel_to_llama(model=model)
  if 'checkpointing' in way:
    model.gradient_checkpointing_enable()
  flops = flops_per_token(model, a.sequence)
  step_model = torch.compile(model) if 'compile' in way else model
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
  tokens = torch.randint(0, model.config.vocab_size, (rows, a.sequence), device=device)
  ends = []
  for _ in range(a.warmup + a.steps):
    step_model(input_ids=tokens, labels=tokens).loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    ends.append(torch.cuda.Event(enable_timing=True) if device == 'cuda' else time.perf_counter())
    if device == 'cuda':
      ends[-1].record()  # nothing waits for the host
  if device == 'cuda':
    torch.cuda.synchronize()
    seconds = [x.elapsed_time(y) / 1000 for x, y in itertools.pairwise(ends)]
  else:
    seconds = [y - x for x, y in itertools.pairwise(ends)]
  seconds = seconds[a.warmup - 1:]
  n, cuts = rows * a.sequence, statistics.quantiles(seconds, n=10, method='inclusive')
  name = torch.cuda.get_device_name() if device == 'cuda' else 'cpu'
  peak = next((v for k, v in PEAK.items() if k in name), None)
  return {
      'who': f'transformers ({way})', 'state': 'bf16', 'rows': rows, 'per_second': n / statistics.median(seconds),
      'per_second_p10': n / cuts[-1], 'per_second_p90': n / cuts[0], 'ms': 1000 * statistics.median(seconds),
      'mfu': flops * n / statistics.median(seconds) / peak if peak else None, 'timed': len(seconds),
      'memory_gb': torch.cuda.max_memory_allocated() / 1e9 if device == 'cuda' else None,
      'torch': torch.__version__, 'remat': 'full' if 'checkpointing' in way else 'none'}


def main():
  p = argparse.ArgumentParser()
  p.add_argument('--preset', default='llama8b', choices=sorted(PRESETS))
  p.add_argument('--layers', type=int, default=32)
  p.add_argument('--sequence', type=int, default=2048)
  p.add_argument('--rows', default='4', help='sequences of a step, several separated by commas')
  p.add_argument('--ways', default='compile,liger+compile,liger,plain',
                 help='what is tried, in this order; what the machine has not is left out')
  p.add_argument('--steps', type=int, default=20)
  p.add_argument('--warmup', type=int, default=3)
  p.add_argument('--timeout', type=float, default=600, help='seconds for one of them, compiling included')
  a = p.parse_args()
  tried = [(way, rows) for way in a.ways.split(',') for rows in map(int, a.rows.split(','))]
  if len(tried) == 1:
    torch.set_float32_matmul_precision('high')
    print(json.dumps(measure(a, *tried[0], 'cuda' if torch.cuda.is_available() else 'cpu')), flush=True)
    return
  for way, rows in tried:  # the last of a flag counts
    command = [sys.executable, *sys.argv, f'--ways={way}', f'--rows={rows}']
    try:
      done = subprocess.run(command, capture_output=True, text=True, timeout=a.timeout, check=False)
      said = done.stdout if not done.returncode else done.stderr
    except subprocess.TimeoutExpired:
      said = f'took longer than {a.timeout:.0f} s'
    last = (said.strip().splitlines() or ['nothing'])[-1]
    print(last if last.startswith('{') else f'left out: {way} with {rows} rows: {last}', flush=True)


if __name__ == '__main__':
  main()
