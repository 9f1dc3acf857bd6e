import os

# transformers says at every start that there is no PyTorch, before a program's own one line of error.
os.environ.setdefault('TRANSFORMERS_NO_ADVISORY_WARNINGS', '1')
