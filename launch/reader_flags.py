"""The flags of every program that evaluates: the reader, and how chunks are found for it."""

from absl import flags

from launch import paths
from smt_jax.eval.retrieval.rag import RETRIEVERS

flags.DEFINE_string('endpoint', '', 'Instead of a checkpoint: base URL of an OpenAI-compatible endpoint.')
flags.DEFINE_string('model', '', 'Name of the model at the endpoint.')
flags.DEFINE_bool('plain', False, 'Leave the chat template of a checkpoint unused.')
flags.DEFINE_enum('dtype', '', ('', 'float32', 'bfloat16'), 'Compute in this type; default: as stored.')
flags.DEFINE_integer('tensor', 1, 'Cut the model over so many devices; the rest share the questions.')
flags.DEFINE_integer('max_batch', 0, 'Most rows decoded at once; 0: what the memory holds.')
flags.DEFINE_integer('max_concurrency', 64, 'Requests to an endpoint at once.')
flags.DEFINE_string('api_key_env', 'OPENAI_API_KEY', 'Environment variable with the endpoint\'s key.')
flags.DEFINE_float('max_cost_usd', 0.0, 'Most dollars that a run may spend at each endpoint; 0: no bound.')
flags.DEFINE_enum('retriever', 'bm25', RETRIEVERS, 'How chunks are found for --mode=rag.')
flags.DEFINE_string('embedder', '', 'Qwen3-Embedding checkpoint for --retriever=dense or hybrid.')
flags.DEFINE_string('reranker', '', 'Qwen3-Reranker checkpoint that orders the found chunks anew.')
flags.DEFINE_enum('chunk_unit', 'characters', ('characters', 'tokens'), 'Unit of the sizes of chunks.')
paths.reads('chunk_tokenizer', '', 'Folder of the tokenizer for --chunk_unit=tokens; default: the reader\'s.')
flags.DEFINE_integer('chunk_overlap', 0, 'How much of a chunk the next one repeats.')
flags.DEFINE_integer('candidates', 128, 'Chunks that a reranker looks at.')
