"""Checkpoints in and out: configurations, refusals, the table both ways, lossless round trips, transformers' view."""

import functools
import json
import logging
import struct
import warnings
import weakref

import hf_models
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from data_gen.errors import UserError
from smt_jax import convert, hf, hf_config, loading, safetensors_io, stream
from smt_jax.config import MeshConfig, from_dict, to_dict
from smt_jax.config import ModelConfig as Config
from smt_jax.mesh import make_mesh

CASES = hf_models.CASES
# as published: transformers 4 wrote these
LLAMA_31_8B = {
    'architectures': ['LlamaForCausalLM'], 'attention_bias': False, 'attention_dropout': 0.0, 'bos_token_id': 128000,
    'eos_token_id': [128001, 128008, 128009], 'hidden_act': 'silu', 'hidden_size': 4096, 'initializer_range': 0.02,
    'intermediate_size': 14336, 'max_position_embeddings': 131072, 'mlp_bias': False, 'model_type': 'llama',
    'num_attention_heads': 32, 'num_hidden_layers': 32, 'num_key_value_heads': 8, 'pretraining_tp': 1,
    'rms_norm_eps': 1e-05, 'rope_scaling': {
        'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192,
        'rope_type': 'llama3'},
    'rope_theta': 500000.0, 'tie_word_embeddings': False, 'torch_dtype': 'bfloat16', 'use_cache': True,
    'vocab_size': 128256}
QWEN3_8B = {
    'architectures': ['Qwen3ForCausalLM'], 'attention_bias': False, 'attention_dropout': 0.0, 'bos_token_id': 151643,
    'eos_token_id': 151645, 'head_dim': 128, 'hidden_act': 'silu', 'hidden_size': 4096, 'initializer_range': 0.02,
    'intermediate_size': 12288, 'max_position_embeddings': 40960, 'max_window_layers': 36, 'model_type': 'qwen3',
    'num_attention_heads': 32, 'num_hidden_layers': 36, 'num_key_value_heads': 8, 'rms_norm_eps': 1e-06,
    'rope_scaling': None, 'rope_theta': 1000000, 'sliding_window': None, 'tie_word_embeddings': False,
    'torch_dtype': 'bfloat16', 'use_cache': True, 'use_sliding_window': False, 'vocab_size': 151936}


def arrays(model) -> dict[str, np.ndarray]:
  return {hf.path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(nnx.state(model))}


def rewrite(folder, change):
  """Writes the tensors of a folder again after `change` has had them in its hands."""
  path = folder / 'model.safetensors'
  tensors = safetensors.numpy.load_file(path)
  change(tensors)
  safetensors.numpy.save_file(tensors, path, metadata={'format': 'pt'})


def test_published_configurations_are_read():
  llama, qwen = hf_config.from_hf(LLAMA_31_8B), hf_config.from_hf(QWEN3_8B)
  assert (llama.head_dim, llama.qk_norm, llama.eos_token_id) == (128, False, (128001, 128008, 128009))
  assert llama.rope_scaling == LLAMA_31_8B['rope_scaling'] and llama.rope_theta == 5e5
  assert (qwen.head_dim, qwen.qk_norm, qwen.eos_token_id, qwen.rope_scaling) == (128, True, (151645,), None)
  assert qwen.rope_theta == 1e6 and isinstance(qwen.rope_theta, float)


def test_both_versions_of_a_configuration_mean_the_same():
  five = {k: v for k, v in LLAMA_31_8B.items() if k not in ('rope_theta', 'rope_scaling', 'torch_dtype')}
  five |= {'rope_parameters': LLAMA_31_8B['rope_scaling'] | {'rope_theta': 500000.0}, 'dtype': 'bfloat16',
           'head_dim': 128}
  legacy = LLAMA_31_8B | {'rope_scaling': {('type' if k == 'rope_type' else k): v
                                           for k, v in LLAMA_31_8B['rope_scaling'].items()}}
  assert hf_config.from_hf(five) == hf_config.from_hf(LLAMA_31_8B) == hf_config.from_hf(legacy)
  for raw in (LLAMA_31_8B, QWEN3_8B):
    config = hf_config.from_hf(raw)
    assert hf_config.from_hf(hf_config.to_hf(config, 'bfloat16')) == config
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(('change', 'message'), [
    ({'architectures': ['MistralForCausalLM'], 'model_type': 'mistral'}, 'architecture MistralForCausalLM'),
    ({'architectures': ['Qwen3MoeForCausalLM'], 'model_type': 'qwen3_moe'}, 'architecture Qwen3MoeForCausalLM'),
    ({'architectures': None, 'model_type': 'gemma3'}, "model_type 'gemma3'"),
    ({'model_type': 'qwen3'}, 'contradicts architectures'),
    ({'attention_bias': True}, 'attention_bias=true'),
    ({'mlp_bias': True}, 'mlp_bias=true'),
    ({'use_sliding_window': True}, 'sliding-window'),
    ({'layer_types': ['full_attention', 'sliding_attention']}, 'sliding-window'),
    ({'layer_types': ['full_attention', 'chunked_attention']}, "layer_types holds 'chunked_attention'"),
    ({'num_local_experts': 8}, 'num_local_experts=8'),
    ({'hidden_act': 'gelu'}, "hidden_act='gelu'"),
    ({'quantization_config': {'quant_method': 'fp8'}}, r'quantised weights \(fp8\)'),
    ({'rope_scaling': {'rope_type': 'yarn', 'factor': 4.0}}, "rope_type='yarn'"),
    ({'rope_scaling': {'type': 'linear', 'factor': 4.0}}, "rope_type='linear'"),
    ({'rope_parameters': {'full_attention': {'rope_type': 'default'}}}, 'expected one object for all layers'),
    ({'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0}}, '"low_freq_factor" is missing'),
    ({'partial_rotary_factor': 0.5}, 'partial_rotary_factor=0.5'),
    ({'num_key_value_heads': 5}, 'num_attention_heads=32 is not a multiple of num_key_value_heads=5'),
    ({'hidden_size': None}, '"hidden_size" is missing'),
    ({'vocab_size': 'many'}, '"vocab_size" should be a whole number above 0'),
    ({'rms_norm_eps': -1}, '"rms_norm_eps" should be a number above 0'),
    ({'eos_token_id': 'x'}, '"eos_token_id" should be a token id'),
])
def test_what_the_model_lacks_is_refused_by_name(change, message):
  with pytest.raises(UserError, match=message):
    hf_config.from_hf(LLAMA_31_8B | change, 'dir/config.json')


def test_end_tokens_come_from_the_generation_configuration(tmp_path):
  folder = hf_models.write(tmp_path, CASES['llama2'])
  assert hf_config.read_config(folder).eos_token_id == (2,)
  (folder / 'generation_config.json').write_text('{"eos_token_id": [2, 5]}')
  assert hf_config.read_config(folder).eos_token_id == (2, 5)


@pytest.mark.parametrize('dtype', [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize('name', ['llama3.2', 'qwen3-large'])
def test_a_round_trip_is_bit_identical(tmp_path, name, dtype):
  source = hf_models.write(tmp_path / 'hf', CASES[name], dtype=dtype)
  hf_models.write_tokenizer(source, CASES[name]['vocab_size'])
  convert.to_orbax(source, tmp_path / 'orbax')
  convert.to_hf(tmp_path / 'orbax', tmp_path / 'back', shard_bytes=20_000)
  assert len(list((tmp_path / 'back').glob('*.safetensors'))) > 2
  before = safetensors.numpy.load_file(source / 'model.safetensors')
  index = json.loads((tmp_path / 'back' / 'model.safetensors.index.json').read_text())['weight_map']
  assert set(index) == set(before)
  for key, file in index.items():
    after = safetensors.numpy.load_file(tmp_path / 'back' / file)[key]
    assert after.dtype == before[key].dtype
    np.testing.assert_array_equal(after.view(np.uint8), before[key].view(np.uint8), err_msg=key)
  assert hf_config.read_config(tmp_path / 'back') == hf_config.read_config(source)
  assert (tmp_path / 'back' / 'tokenizer.json').read_bytes() == (source / 'tokenizer.json').read_bytes()


def test_both_forms_load_to_the_same_weights_and_keep_their_dtype(tmp_path):
  source = hf_models.write(tmp_path / 'hf', CASES['qwen3-small'], dtype=ml_dtypes.bfloat16)
  tokenizer = hf_models.write_tokenizer(source, 103)
  convert.to_orbax(source, tmp_path / 'orbax')
  from_hf, its_tokenizer = loading.load(source)
  from_orbax, _ = loading.load(f'{tmp_path / "orbax"}@0')
  assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
  for (name, a), b in zip(arrays(from_hf).items(), arrays(from_orbax).values(), strict=True):
    assert a.dtype == b.dtype == ml_dtypes.bfloat16, name
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8), err_msg=name)
  assert loading.load(source, dtype='float32')[0].embedding_VD[...].dtype == np.float32


def test_weights_go_straight_into_their_shards(tmp_path):
  raw = CASES['qwen3-small'] | {'vocab_size': 104, 'num_attention_heads': 4, 'num_key_value_heads': 2}
  source = hf_models.write(tmp_path / 'hf', raw)
  convert.to_orbax(source, tmp_path / 'orbax')
  mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
  whole = arrays(loading.load(source)[0])
  for path in (source, tmp_path / 'orbax'):
    model, _ = loading.load(path, mesh=mesh)
    q = model.blocks[0].attention.q_DHN[...]
    assert q.sharding.shard_shape(q.shape) == (24, 2, 16)
    for name, array in arrays(model).items():
      np.testing.assert_array_equal(array, whole[name], err_msg=name)


def test_shards_and_single_files_hold_the_same(tmp_path):
  one = hf.read_leaves(hf_models.write(tmp_path / 'one', CASES['llama2']), hf_config.from_hf(CASES['llama2']))
  two = hf.read_leaves(hf_models.write_sharded(tmp_path / 'two', CASES['llama2']), hf_config.from_hf(CASES['llama2']))
  assert one.keys() == two.keys()
  for name in one:
    np.testing.assert_array_equal(one[name], two[name])


def test_dtypes_on_the_way_out(tmp_path):
  source = hf_models.write(tmp_path / 'hf', CASES['llama2'])
  convert.to_hf(source, tmp_path / 'half', 'bfloat16')
  after = safetensors.numpy.load_file(tmp_path / 'half' / 'model.safetensors')
  for key, tensor in hf_models.weights(CASES['llama2']).items():
    np.testing.assert_array_equal(after[key], tensor.astype(ml_dtypes.bfloat16))
  assert json.loads((tmp_path / 'half' / 'config.json').read_text())['dtype'] == 'bfloat16'
  rewrite(source, lambda t: t['lm_head.weight'].__setitem__((0, 0), 1e6))
  with pytest.raises(UserError, match='"head_DV" holds values beyond the range of float16'):
    convert.to_hf(source, tmp_path / 'fp16', 'float16')
  assert not (tmp_path / 'fp16').exists() and not list(tmp_path.glob('.*partial'))


def test_tied_copies_and_headless_models(tmp_path):
  tied = hf_models.write(tmp_path / 'tied', CASES['llama3.2'])
  plain = arrays(loading.load(tied)[0])
  rewrite(tied, lambda t: t.update({'lm_head.weight': t['model.embed_tokens.weight'].copy(),
                                    'model.layers.0.self_attn.rotary_emb.inv_freq': np.ones(6, np.float32)}))
  np.testing.assert_array_equal(arrays(loading.load(tied)[0])['embedding_VD'], plain['embedding_VD'])
  rewrite(tied, lambda t: t['lm_head.weight'].__setitem__((3, 4), 9))
  with pytest.raises(UserError, match=r'lm_head\.weight" differs'):
    loading.load(tied)
  headless = hf_models.write(tmp_path / 'headless', CASES['qwen3-large'])
  rewrite(headless, lambda t: [t.__setitem__(k.removeprefix('model.'), t.pop(k)) for k in list(t)]
          and t.pop('lm_head.weight'))
  with pytest.raises(UserError, match=r'key "lm_head.weight" is missing'):
    loading.load(headless)
  model, _ = loading.load(headless, headless=True)
  np.testing.assert_array_equal(model.norm_D[...], hf_models.weights(CASES['qwen3-large'])['model.norm.weight'])


BAD_TENSORS = {
    'key "model.norm.weight" is missing': lambda t: t.pop('model.norm.weight'),
    'key "model.layers.2.mlp.up_proj.weight" has no place': lambda t: t.update(
        {'model.layers.2.mlp.up_proj.weight': np.ones((80, 48), np.float32)}),
    'key "model.layers.0.self_attn.q_proj.bias" has no place': lambda t: t.update(
        {'model.layers.0.self_attn.q_proj.bias': np.ones(48, np.float32)}),
    'key "model.norm.weight" is doubled': lambda t: t.update({'norm.weight': np.ones(48, np.float32)}),
    r'key "lm_head.weight" has shape \[97, 47\], config.json asks for \[97, 48\]': lambda t: t.update(
        {'lm_head.weight': np.ones((97, 47), np.float32)}),
    'tensor "model.norm.weight" has dtype I32': lambda t: t.update({'model.norm.weight': np.ones(48, np.int32)}),
    'weight "blocks.1.mlp.up_DF" holds 2 values that are NaN or infinite': lambda t: t[
        'model.layers.1.mlp.up_proj.weight'].__setitem__((0, slice(2)), [np.nan, np.inf]),
}


@pytest.mark.parametrize('message', BAD_TENSORS)
def test_bad_tensors_are_named(tmp_path, message):
  source = hf_models.write(tmp_path, CASES['llama2'])
  rewrite(source, BAD_TENSORS[message])
  with pytest.raises(UserError, match=message):
    loading.load(source)


def test_a_configuration_that_contradicts_the_tensors_is_refused(tmp_path):
  source = hf_models.write(tmp_path, CASES['llama2'])
  (source / 'config.json').write_text(json.dumps(CASES['llama2'] | {'intermediate_size': 81}))
  with pytest.raises(UserError, match=r'gate_proj.weight" has shape \[80, 48\], config.json asks for \[81, 48\]'):
    loading.load(source)


@pytest.mark.parametrize('keep', [4, 200, 0.5, -1])
def test_a_truncated_file_is_refused(tmp_path, keep):
  path = hf_models.write(tmp_path, CASES['llama2']) / 'model.safetensors'
  data = path.read_bytes()
  path.write_bytes(data[:int(len(data) * keep) if isinstance(keep, float) else keep])
  with pytest.raises(UserError, match=r'model\.safetensors: not a whole safetensors file'):
    loading.load(tmp_path)


def test_bad_indexes_are_refused(tmp_path):
  source = hf_models.write_sharded(tmp_path / 'x', CASES['llama2'])
  index = source / 'model.safetensors.index.json'
  whole = json.loads(index.read_text())
  first, second = 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'

  def load(weight_map):
    index.write_text(json.dumps({'weight_map': weight_map}))
    return loading.load(source)

  moved = {k: second if v == first else first for k, v in whole['weight_map'].items()}
  with pytest.raises(UserError, match='but it stands in'):
    load(moved)
  with pytest.raises(UserError, match=r'"model.norm.weight" of .* is not listed'):
    load({k: v for k, v in whole['weight_map'].items() if k != 'model.norm.weight'})
  with pytest.raises(UserError, match='lists tensor "other"'):
    load(whole['weight_map'] | {'other': first})
  with pytest.raises(UserError, match='expected one inside the folder'):
    load(whole['weight_map'] | {'other': '../evil.safetensors'})
  index.write_text('{')
  with pytest.raises(UserError, match=r'index.json: not valid JSON'):
    loading.load(source)
  load(whole['weight_map'])  # whole again
  (source / second).unlink()
  with pytest.raises(UserError, match=f'{second}: no such file, but .*index.json names it'):
    loading.load(source)
  tensors = safetensors.numpy.load_file(source / first)
  safetensors.numpy.save_file(tensors, source / second, metadata={'format': 'pt'})
  with pytest.raises(UserError, match=r'stands in .*00001'):
    loading.load(source)


def test_a_header_of_nonsense_is_refused(tmp_path):
  path = hf_models.write(tmp_path, CASES['llama2']) / 'model.safetensors'
  path.write_bytes(struct.pack('<Q', 2**60) + b'{}')
  with pytest.raises(UserError, match='not a whole safetensors file'):
    loading.load(tmp_path)


def test_pickles_and_folders_without_weights_are_refused(tmp_path):
  (tmp_path / 'config.json').write_text(json.dumps(CASES['llama2']))
  with pytest.raises(UserError, match=r'holds no \*\.safetensors'):
    loading.load(tmp_path)
  (tmp_path / 'pytorch_model.bin').write_bytes(b'\x80\x04')
  with pytest.raises(UserError, match=r'only pickled weights \(pytorch_model\.bin\)'):
    loading.load(tmp_path)


def test_a_tokenizer_larger_than_the_embedding_is_refused(tmp_path):
  source = hf_models.write(tmp_path / 'hf', CASES['llama2'])
  hf_models.write_tokenizer(source, 98)
  for use in (loading.load, lambda s: convert.to_orbax(s, tmp_path / 'out')):
    with pytest.raises(UserError, match=r'tokenizer has 98 tokens, but the embedding .* has 97 rows'):
      use(source)
  assert not (tmp_path / 'out').exists()


def test_checkpoint_arguments(tmp_path):
  source = hf_models.write(tmp_path / 'hf', CASES['llama2'])
  work = convert.to_orbax(source, tmp_path / 'work')
  assert loading.find(work).step == 0 and loading.find(f'{work}@0').name == f'{work}@0'
  assert loading.expand(f'{work}@all') == [f'{work}@0'] and loading.expand(work) == [str(work)]
  for argument, message in {
      f'{tmp_path}/none': 'no such checkpoint folder', f'{work}@7': 'no checkpoint of step 7; there are: 0',
      f'{work}@last': 'expected one step after "@"', f'{source}@1': 'holds no checkpoints/',
      str(tmp_path): 'expected a work directory'}.items():
    with pytest.raises(UserError, match=message):
      loading.find(argument)
  with pytest.raises(UserError, match='exists already'):
    convert.to_orbax(source, work)


def test_damaged_work_directories_are_refused(tmp_path):
  work = convert.to_orbax(hf_models.write(tmp_path / 'hf', CASES['llama2']), tmp_path / 'work')
  largest = max((work / 'checkpoints' / '0' / 'params').rglob('*'), key=lambda p: p.stat().st_size)
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  for use in (loading.load, lambda w: convert.to_hf(w, tmp_path / 'out')):
    with pytest.raises(UserError, match=r'cannot be restored|not what was saved'):
      use(work)
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', CASES)
def test_transformers_loads_what_is_exported_without_a_warning(tmp_path, name, caplog):
  torch = pytest.importorskip('torch')
  import transformers
  source = hf_models.write(tmp_path / 'hf', CASES[name])
  hf_models.write_tokenizer(source, CASES[name]['vocab_size'])
  target = convert.to_hf(convert.to_orbax(source, tmp_path / 'work'), tmp_path / 'out', shard_bytes=30_000)
  ids = torch.tensor(hf_models.token_ids(CASES[name])).long()
  with torch.no_grad():
    expected = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)(ids).logits
  transformers.utils.logging.enable_propagation()
  try:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
      warnings.simplefilter('error')
      model, info = transformers.AutoModelForCausalLM.from_pretrained(target, output_loading_info=True)
      tokenizer = transformers.AutoTokenizer.from_pretrained(target)
      model.generate(ids[:1, :5], attention_mask=torch.ones(1, 5, dtype=torch.long), max_new_tokens=2, pad_token_id=0)
  finally:
    transformers.utils.logging.disable_propagation()
  assert not any(info.values()) and not caplog.records, (info, caplog.text)
  assert model.dtype == torch.float32 and len(tokenizer) == CASES[name]['vocab_size']
  with torch.no_grad():
    assert torch.equal(model(ids).logits, expected)


def test_conversions_hold_one_tensor_at_a_time(tmp_path):
  alive = []

  def make(i):
    assert sum(ref() is not None for ref in alive) <= 1, 'tensors pile up'  # the one before may still be in writing
    array = np.full((64, 64), i, np.float32)
    alive.append(weakref.ref(array))
    return array

  leaves = {f'x{i}': stream.Lazy((64, 64), np.dtype(np.float32), functools.partial(make, i)) for i in range(12)}
  stream.save(tmp_path / 'work', leaves, {})
  assert len(alive) == 12
  del alive[:]
  read = stream.sources(tmp_path / 'work', 0)
  safetensors_io.write_folder(tmp_path, ((k, v.shape, v.dtype, functools.partial(make, int(k[1:])))
                                         for k, v in read.items()), shard_bytes=40_000)
  assert len(alive) == 12
  for name, lazy in read.items():
    np.testing.assert_array_equal(lazy.make(), np.full((64, 64), int(name[1:])))


@pytest.mark.slow
def test_a_trained_model_says_the_same_after_the_road_to_hugging_face_and_back(tmp_path):
  from train_fixtures import make_corpus, tiny_config

  import smt_jax
  from smt_jax.train import train
  train(tiny_config(make_corpus(tmp_path)), tmp_path / 'run')
  convert.to_hf(tmp_path / 'run', tmp_path / 'hf')
  convert.to_orbax(tmp_path / 'hf', tmp_path / 'back')
  prompts = ['the ', 'a sentence', 'Question: what is ']
  texts = [smt_jax.generate(*smt_jax.load(tmp_path / name), prompts, max_new_tokens=20)
           for name in ('run', 'hf', 'back')]
  assert texts[0] == texts[1] == texts[2] and any(texts[0])
  torch = pytest.importorskip('torch')
  import transformers
  theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'hf', dtype=torch.float32)
  tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / 'hf')
  for prompt, text in zip(prompts, texts[0], strict=True):
    ids = tokenizer(prompt, return_tensors='pt', return_token_type_ids=False)
    out = theirs.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids['input_ids'].shape[1]:]
    assert tokenizer.decode(out, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
