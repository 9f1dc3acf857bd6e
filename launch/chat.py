"""A conversation with a checkpoint: python -m launch.chat --checkpoint=DIR [--compare=BASE] [--documents=FILE].

With --compare another model answers beside it; with --documents a third answer comes from the base model (or, without
--compare, from the checkpoint) that reads retrieved passages first. Messages may also be piped in, one a line."""

from absl import flags

from data_gen.errors import UserError
from data_gen.schema import Document, read_rows
from launch import app, paths
from smt_jax.eval.retrieval.rag import RETRIEVERS, Rag, RagSettings

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Work directory (DIR, DIR@STEP) or Hugging Face folder.',
                                  required=True)
_COMPARE = flags.DEFINE_string('compare', '', 'Another checkpoint that answers too, e.g. the one training began with.')
_DOCUMENTS = paths.reads('documents', '', 'documents.jsonl: adds an answer with retrieved passages.')
_RETRIEVER = flags.DEFINE_enum('retriever', 'bm25', RETRIEVERS, 'How passages are found.')
_EMBEDDER = flags.DEFINE_string('embedder', '', 'Qwen3-Embedding checkpoint for --retriever=dense or hybrid.')
_RERANKER = flags.DEFINE_string('reranker', '', 'Qwen3-Reranker checkpoint that orders the found passages anew.')
_CHUNK_SIZE = flags.DEFINE_integer('chunk_size', 1024, 'Characters in a passage.')
_TOP_K = flags.DEFINE_integer('top_k', 8, 'Passages that are read.')
_SYSTEM = flags.DEFINE_string('system', '', 'A system message for all voices.')
_NEW = flags.DEFINE_integer('max_new_tokens', 512, 'Longest answer.')
_TEMPERATURE = flags.DEFINE_float('temperature', 0.0, '0 always gives the most likely answer.')
_TOP_P = flags.DEFINE_float('top_p', 1.0, 'Choose among the most likely tokens that reach this probability together.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of sampling.')
_DTYPE = flags.DEFINE_enum('dtype', '', ('', 'float32', 'bfloat16'), 'Compute in this type; default: as stored.')
_TENSOR = flags.DEFINE_integer('tensor', 1, 'Cut each model over so many devices.')


def main() -> None:
  if _CHUNK_SIZE.value < 1:
    raise UserError(f'--chunk_size={_CHUNK_SIZE.value}: expected 1 or more')
  from smt_jax import loading
  from smt_jax.generation.sampling import Sampling
  from smt_jax.serving.conversation import Voice, retriever
  from smt_jax.serving.engine import open_engine
  from smt_jax.serving.terminal import converse
  sampling = Sampling(_NEW.value, _TEMPERATURE.value, _TOP_P.value, seed=_SEED.value).validate()
  for path in filter(None, (_CHECKPOINT.value, _COMPARE.value)):
    loading.find(path)  # both are looked at before either is loaded
  retrieve = None
  if _DOCUMENTS.value:
    settings = RagSettings(_RETRIEVER.value, _EMBEDDER.value, _RERANKER.value, _CHUNK_SIZE.value, top_k=_TOP_K.value)
    retrieve = retriever(Rag(read_rows(Document, _DOCUMENTS.value), settings))
  engine = open_engine(_CHECKPOINT.value, dtype=_DTYPE.value, tensor=_TENSOR.value)
  voices, reader = [Voice('trained' if _COMPARE.value or retrieve else 'model', engine, None, _SYSTEM.value)], engine
  if _COMPARE.value:
    reader = open_engine(_COMPARE.value, dtype=_DTYPE.value, tensor=_TENSOR.value)
    voices.append(Voice('base', reader, None, _SYSTEM.value))
  if retrieve:
    voices.append(Voice('base + RAG' if _COMPARE.value else 'trained + RAG', reader, retrieve, _SYSTEM.value))
  converse(voices, sampling)


if __name__ == '__main__':
  app.run(main)
