"""The peer of `--suite=train`: a Hugging Face Llama's training step (random weights, fused AdamW).

Run by `launch.benchmark --peer_python=...` with an interpreter that has torch and transformers; prints a JSON line for
each way of running it that the machine allows. A way joins words with +: plain, compile, liger (its kernels),
checkpointing, keep (several GPUs: gathered weights stay until the backward pass). Each runs in processes of its own, as
an error on the GPU ends the one it happens in.

One GPU: all of the state in bfloat16. Several: FSDP2 with every layer a unit, float32 weights and moments, bfloat16
compute and gradients. It takes no gradient norm, clips nothing and rounds to nearest, which ours does not allow itself.
"""

import argparse
import itertools
import json
import os
import signal
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
RANK, WORLD = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
PEAK = {'H100': 989e12, 'H200': 989e12, 'A100': 312e12, 'B200': 2250e12}


def build(a, device):
  vocabulary, width, feed_forward, heads, key_heads, head_dim = PRESETS[a.preset]
  config = LlamaConfig(
      vocab_size=vocabulary, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=a.layers,
      num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=head_dim, max_position_embeddings=131072,
      attn_implementation='sdpa', use_cache=False)
  sharded = WORLD > 1
  torch.set_default_dtype(torch.float32 if sharded else torch.bfloat16)
  with torch.device('meta' if sharded else device):
    return LlamaForCausalLM(config).train()


def shard(model, way, device):
  """FSDP2 over all processes, and the weights that the model on device meta has not."""
  from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
  policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16)
  for layer in model.model.layers:
    if 'compile' in way:
      layer.compile()
    fully_shard(layer, mp_policy=policy, reshard_after_forward='keep' not in way)
  fully_shard(model, mp_policy=policy)
  model.to_empty(device=device)
  for weight in model.parameters():
    torch.nn.init.normal_(weight, std=0.02)
  model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to(device)  # its table is no parameter


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
  if WORLD > 1:
    shard(model, way, device)
  step_model = torch.compile(model) if 'compile' in way and WORLD == 1 else model
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
      'who': f'transformers ({way}{", FSDP2" if WORLD > 1 else ""})', 'state': 'float32' if WORLD > 1 else 'bf16',
      'rows': rows * WORLD, 'per_second': n / statistics.median(seconds),
      'per_second_p10': n / cuts[-1], 'per_second_p90': n / cuts[0], 'ms': 1000 * statistics.median(seconds),
      'mfu': flops * n / statistics.median(seconds) / peak if peak else None, 'timed': len(seconds),
      'memory_gb': torch.cuda.max_memory_allocated() / 1e9 if device == 'cuda' else None,
      'torch': torch.__version__, 'remat': 'full' if 'checkpointing' in way else 'none'}


def one(a, way, rows):
  """Measures in this process, one of `WORLD`."""
  torch.set_float32_matmul_precision('high')
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  if WORLD > 1:
    if device == 'cuda':
      torch.cuda.set_device(RANK)
    torch.distributed.init_process_group('nccl' if device == 'cuda' else 'gloo')
  found = measure(a, way, rows, device)
  if RANK == 0:
    print(json.dumps(found), flush=True)
  if WORLD > 1:
    torch.distributed.destroy_process_group()


def main():
  p = argparse.ArgumentParser()
  p.add_argument('--preset', default='llama8b', choices=sorted(PRESETS))
  p.add_argument('--layers', type=int, default=32)
  p.add_argument('--sequence', type=int, default=2048)
  p.add_argument('--rows', default='4', help='sequences of a step and GPU, several separated by commas')
  p.add_argument('--ways', default='', help='what is tried, in this order, separated by commas; what the machine has '
                 'not is left out; empty: those that were fastest')
  p.add_argument('--steps', type=int, default=20)
  p.add_argument('--warmup', type=int, default=3)
  p.add_argument('--processes', type=int, default=0, help='0: as many as there are GPUs')
  p.add_argument('--timeout', type=float, default=600, help='seconds for one of them, compiling included')
  p.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
  a = p.parse_args()
  if a.inside:
    one(a, a.ways, int(a.rows))
    return
  processes = a.processes or max(1, torch.cuda.device_count())
  start = [sys.executable] if processes == 1 else [
      sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
  ways = a.ways or ('compile,liger+compile,liger,plain' if processes == 1 else 'keep+compile,compile')
  for way, rows in itertools.product(ways.split(','), a.rows.split(',')):  # the last of a flag counts
    run = subprocess.Popen([*start, *sys.argv, f'--ways={way}', f'--rows={rows}', '--inside'], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
      out, error = run.communicate(timeout=a.timeout)
    except subprocess.TimeoutExpired:
      os.killpg(run.pid, signal.SIGKILL)  # torchrun's processes too
      run.wait()
      out, error = '', f'took longer than {a.timeout:.0f} s'
    lines = [line for line in out.splitlines() if line.startswith('{')]
    said = [line for line in error.strip().splitlines() if 'ChildFailedError' not in line]
    why = [line for line in said if 'Error: ' in line] or said or ['nothing']
    print(lines[-1] if lines else f'left out: {way} with {rows} rows: {why[-1]}', flush=True)


if __name__ == '__main__':
  main()
